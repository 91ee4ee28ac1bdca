"""Examples of evaluation sets in, their runs of words by hash out, as datatrove looks them up.

datatrove's own way to make this index loads its sets from the network.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datatrove.pipeline.decont.n_grams import NGramsDecontConfig
from datatrove.utils.hashing import create_hash_func
from datatrove.utils.text import ngrams, simplify_text

from modernbert.base.files import make_folder, read_json, whole_file, write_json
from modernbert.data.clean.blocks.words import HASHES, WORDS
from modernbert.data.clean.evaluations import Example

_SUFFIX = ".index.hashes"


@dataclass(frozen=True, slots=True)
class Indexed:
    """What of a set can be found."""

    texts: int
    too_short: int
    """Texts with fewer words than are looked for in a row."""


def config_of(ngram: int) -> NGramsDecontConfig:
    """Say how many words in a row are looked for."""
    return NGramsDecontConfig(n_grams=ngram, hash_config=HASHES)


def write_index(folder: Path, name: str, examples: Iterable[Example], ngram: int) -> Indexed:
    """Write the hashes of a set, and beside them which example each is of: the first that has it.

    Raises:
        DataError: whatever reading the examples raises.
        MachineError: there is no room.
    """
    hash_of = create_hash_func(config_of(ngram).hash_config)
    first: dict[int, int] = {}
    where: list[str] = []
    too_short = 0
    for number, example in enumerate(examples):
        where.append(example.where)
        runs = list(runs_of(example.text, ngram))
        too_short += not runs
        for run in runs:
            first.setdefault(hash_of(run), number)
    make_folder(folder)
    with whole_file(folder / f"{name}{_SUFFIX}") as aside:
        np.array([*first], dtype="<u8").tofile(aside)
    with whole_file(folder / f"{name}.numbers") as aside:
        np.array([*first.values()], dtype="<u4").tofile(aside)
    write_json(folder / f"{name}.json", {"where": where, "too_short": too_short})
    return Indexed(len(where), too_short)


def runs_of(text: str, ngram: int) -> Iterator[str]:
    """Yield the runs of words of a text; those that mostly repeat themselves would say nothing.

    Rows of numbers and of the same word are in many texts that have nothing else in common.
    """
    words = WORDS.word_tokenize(simplify_text(text, config_of(ngram).norm_config))
    for run in ngrams(words, ngram):
        if 2 * len({*run}) > ngram:
            yield " ".join(run)


def is_indexed(folder: Path, name: str) -> bool:
    """Return whether a set's index is whole."""
    return (folder / f"{name}.json").is_file()


def indexed(folder: Path, name: str) -> Indexed:
    """Return what an index was made of."""
    said = read_json(folder / f"{name}.json")
    return Indexed(len(said["where"]), said["too_short"])


def sources_of(folder: Path, ngram: int, wanted: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return where runs of words stand in the sets that they were found in."""
    hash_of = create_hash_func(config_of(ngram).hash_config)
    found = {}
    for name, runs in wanted.items():
        hashes = np.fromfile(folder / f"{name}{_SUFFIX}", dtype="<u8")
        numbers = np.fromfile(folder / f"{name}.numbers", dtype="<u4")
        where = read_json(folder / f"{name}.json")["where"]
        order = np.argsort(hashes)
        for run in runs:
            at = order[np.searchsorted(hashes, np.uint64(hash_of(run)), sorter=order)]
            found[run] = where[int(numbers[at])]
    return found
