"""Files of documents and a model in, a folder of all their vectors out, shard by shard."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch

from modernbert.base import files
from modernbert.base.device import choose_device
from modernbert.base.lock import held
from modernbert.base.log import Meter, meter, say
from modernbert.data.entries import Entry, EntryFiles
from modernbert.data.entry_columns import Keys
from modernbert.data.prefetch import prefetch
from modernbert.infer import bulk_ray
from modernbert.infer.bulk_plan import begun, counted, facts_of
from modernbert.infer.bulk_shard import Work, parted, read_part, write_shard
from modernbert.infer.embed_options import EmbedOptions
from modernbert.infer.embeddings import (
    EmbeddingsFacts,
    is_there,
    lines_of,
    read_facts,
    write_facts,
)
from modernbert.infer.pretrained import Pretrained, load

_AHEAD = 16
"""Parts of 128 documents that are read while others are computed."""


def embed_corpus(
    model: str,
    paths: Sequence[Path],
    out: Path,
    options: EmbedOptions | None = None,
    keys: Keys | None = None,
) -> EmbeddingsFacts:
    """Write the vectors of all documents; a stopped call goes on at the first missing shard.

    The same inputs give the same bytes on one machine with one number of threads, stopped and
    repeated or not. Memory is bounded by 3,000 documents and 8 bytes for every id.

    Raises:
        CheckpointError: the model cannot be read.
        ConfigError: the folder holds something else, or an option does not fit the model.
        DataError: a document cannot be read, or two have one id.
        MachineError: a package or device is missing, or the folder cannot be written.
    """
    options = options or EmbedOptions()
    inputs = [EntryFiles([path], keys) for path in paths]
    if options.threads and options.engine == "local":
        torch.set_num_threads(options.threads)
    opened = load(model, runtime=options.runtime).to(choose_device(options.device))
    facts = counted(out, facts_of(model, opened, inputs, options), inputs)
    files.make_folder(out)
    with held(out, "written"):
        facts = begun(out, facts)
        missing = {number for number in range(facts.num_shards) if not is_there(out, number)}
        say(_described(facts, opened, len(missing)))
        if missing:
            files.sweep(out)
            _fill(opened, facts, out, missing, inputs, options)
        facts = _counted(out, facts)
        if facts != read_facts(out):
            write_facts(out, facts)
    return facts


def _described(facts: EmbeddingsFacts, opened: Pretrained, missing: int) -> str:
    before = f" behind {facts.prompt!r}" if facts.prompt else ""
    rest = "" if missing == facts.num_shards else f", {missing} of {facts.num_shards} shards to do"
    return (
        f"{facts.documents:,} documents{before}, cut at {facts.max_length} tokens, computed in "
        f"{opened.computes}, kept as {facts.dtype}{rest}"
    )


def _fill(
    opened: Pretrained,
    facts: EmbeddingsFacts,
    out: Path,
    missing: set[int],
    inputs: Sequence[EntryFiles],
    options: EmbedOptions,
) -> None:
    documents = itertools.chain.from_iterable(inputs)
    with meter("documents", facts.documents) as bar:
        done = _Done(bar, facts, missing)
        shards = _shards(documents, facts, missing)
        if options.engine == "ray":
            there = Path(facts.model)
            model = str(there.resolve()) if there.is_dir() else facts.model
            work = Work(model, str(out.resolve()), options.device, options.threads or 1)
            bulk_ray.embed_shards(work, shards, options.workers, done.more)
            return
        parts = (
            (number, read_part(opened, facts, part))
            for number, shard in shards
            for part in parted(shard)
        )
        with closing(prefetch(parts, _AHEAD)) as ahead:
            for number, group in itertools.groupby(ahead, lambda pair: pair[0]):
                write_shard(opened, facts, out, number, (read for _, read in group), done.more)


class _Done:
    """Counts documents for a meter, those of earlier calls included."""

    def __init__(self, bar: Meter, facts: EmbeddingsFacts, missing: set[int]) -> None:
        self._bar = bar
        self._number = facts.documents - sum(map(facts.size_of, missing))

    def more(self, number: int) -> None:
        self._number += number
        self._bar.at(self._number)


def _shards(
    documents: Iterator[Entry], facts: EmbeddingsFacts, missing: set[int]
) -> Iterator[tuple[int, Iterator[Entry]]]:
    """Yield the documents of each missing shard; those of others are passed over."""
    for number in range(facts.num_shards):
        some = itertools.islice(documents, facts.size_of(number))
        if number in missing:
            yield number, some
        for _ in some:
            pass


def _counted(out: Path, facts: EmbeddingsFacts) -> EmbeddingsFacts:
    """Add up what came of all documents."""
    totals: dict[str, int] = dict.fromkeys(("is_cut", "is_empty", "tokens"), 0)
    for number in range(facts.num_shards):
        for line in lines_of(out, number):
            for name in totals:
                totals[name] += line[name]
    return replace(
        facts,
        is_finished=True,
        cut=totals["is_cut"],
        empty=totals["is_empty"],
        tokens=totals["tokens"],
    )
