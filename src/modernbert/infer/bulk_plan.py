"""A model, documents and wishes in, what is to be written out, which may have been begun."""

import itertools
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from modernbert.base import machine
from modernbert.base.errors import CheckpointError, ConfigError, DataError
from modernbert.base.log import meter
from modernbert.data.entries import Entry, EntryFiles
from modernbert.infer import reading
from modernbert.infer.embed_options import EmbedOptions
from modernbert.infer.embeddings import (
    NAME,
    EmbeddingsFacts,
    InputFacts,
    read_facts,
    write_facts,
)
from modernbert.infer.fingerprint import fingerprint_of_model
from modernbert.infer.pretrained import Pretrained

_FEWEST = 8
"""Tokens of a text."""
_PROMPTS = ("document", "passage", "corpus")


def facts_of(
    model: str, opened: Pretrained, inputs: Sequence[EntryFiles], options: EmbedOptions
) -> EmbeddingsFacts:
    """Say what decides the vectors; documents are not counted yet.

    Raises:
        ConfigError: an option does not fit the model.
    """
    config = opened.sentence.config
    if config.is_sparse:
        raise ConfigError(
            "this model's vectors are sparse and as wide as its vocabulary, too many numbers to "
            "write: build a search index, which keeps what is not 0"
        )
    own = (config.late and config.late.document_length) or config.max_length
    length, longest = options.max_length or own, opened.config.max_length
    if not _FEWEST <= length <= longest:
        raise ConfigError(
            f"--max-length is {length}: this model reads {_FEWEST} to {longest} tokens of a text"
        )
    return EmbeddingsFacts(
        model=model,
        model_fingerprint=fingerprint_of_model(model),
        version=machine.versions().get("modernbert", ""),
        kind="text" if config.late is None else "token",
        dimension=_dimension(opened, options.dimensions),
        dtype=options.dtype,
        similarity=config.similarity,
        prompt=_prompt(opened, options.prompt),
        max_length=length,
        shard_documents=options.shard_documents,
        inputs=tuple(InputFacts(each.name, each.size_bytes, each.fingerprint) for each in inputs),
        documents=0,
    )


def _dimension(opened: Pretrained, wanted: int) -> int:
    if opened.sentence.config.late is None:
        whole = opened.embed(["."]).shape[1]
    else:
        whole = opened.token_vectors(["."], is_query=False)[0].shape[1]
    if wanted > whole:
        raise ConfigError(f"--dimensions is {wanted}: this model's vectors have {whole}")
    return wanted or whole


def _prompt(opened: Pretrained, wanted: str | None) -> str:
    config = opened.sentence.config
    if config.late is not None:
        if wanted is not None:
            raise ConfigError(
                f"--prompt {wanted!r}: this model marks documents by itself, leave it out"
            )
        return config.prompt("document") or ""
    name = next((each for each in _PROMPTS if each in config.prompts), None)
    return reading.prompt_named(config, name if wanted is None else wanted)


def begun(out: Path, facts: EmbeddingsFacts, inputs: Sequence[EntryFiles]) -> EmbeddingsFacts:
    """Return what the folder holds by now, or begin it; look through all documents before.

    Raises:
        ConfigError: it holds something else.
        DataError: a document cannot be read, or two have one id.
    """
    if (out / NAME).exists():
        known = read_facts(out)
        _check_same(out, known, facts)
        return replace(known, model=facts.model)
    if any(not path.name.startswith(".") for path in out.iterdir()):
        raise ConfigError(f"{out} holds files that are no embeddings: give a new or empty folder")
    facts = replace(facts, documents=_surveyed(inputs))
    write_facts(out, facts)
    return facts


def _check_same(out: Path, known: EmbeddingsFacts, now: EmbeddingsFacts) -> None:
    if known.model_fingerprint != now.model_fingerprint:
        raise CheckpointError(
            f"{out} was begun with another model than {now.model} is now: give another --out"
        )
    if known.inputs != now.inputs:
        raise DataError(f"{out} was begun with other documents: give another --out")
    for name in ("shard_documents", "dtype", "dimension", "prompt", "max_length"):
        before, after = (getattr(facts, name) for facts in (known, now))
        if before != after:
            raise ConfigError(
                f"{out} was begun with {name} {before!r}, and now it is {after!r}: say the same, "
                "or give another --out"
            )


def _surveyed(inputs: Sequence[EntryFiles]) -> int:
    """Count the documents, and see that each can be read and has an id of its own."""
    names = array("Q")
    size = sum(each.size_bytes for each in inputs)
    with meter("looking through the documents", max(1, size)) as bar:
        for entry, read in _with_bytes(inputs):
            names.append(_name_of(entry))
            bar.at(read)
    if not names:
        where = ", ".join(each.name for each in inputs)
        raise DataError(f"{where or 'no path'} holds no document: give files with texts")
    known, numbers = np.unique(np.frombuffer(names, dtype=np.uint64), return_counts=True)
    if len(known) < len(names):
        _refuse_twice(inputs, {int(each) for each in known[numbers > 1]})
    return len(names)


def _with_bytes(inputs: Sequence[EntryFiles]) -> Iterator[tuple[Entry, int]]:
    before = 0
    for each in inputs:
        for entry in each:
            yield entry, before + each.bytes_read
        before += each.size_bytes


def _name_of(entry: Entry) -> int:
    return int.from_bytes(blake2b(entry.id.encode(), digest_size=8).digest(), "little")


def _refuse_twice(inputs: Sequence[EntryFiles], names: set[int]) -> None:
    places: dict[str, str] = {}
    for entry in itertools.chain.from_iterable(inputs):
        if _name_of(entry) not in names:
            continue
        if entry.id in places:
            raise DataError(
                f"{entry.where} has the id {entry.id!r} of {places[entry.id]}: give it another"
            )
        places[entry.id] = entry.where
