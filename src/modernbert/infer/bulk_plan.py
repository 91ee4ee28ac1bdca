"""A model, documents and wishes in, what is to be written out, which may have been begun."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from modernbert.base import machine
from modernbert.base.errors import CheckpointError, ConfigError, DataError
from modernbert.data.entries import EntryFiles
from modernbert.data.survey import surveyed
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
from modernbert.infer.heads import warn_of_head
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
    warn_of_head(model, opened)
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
        model_fingerprint=fingerprint_of_model(model, options.runtime),
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
        runtime=options.runtime,
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


def counted(out: Path, facts: EmbeddingsFacts, inputs: Sequence[EntryFiles]) -> EmbeddingsFacts:
    """Look through all documents, unless the folder was begun; nothing of it is made yet.

    Raises:
        ConfigError: it holds something else.
        DataError: a document cannot be read, or two have one id.
    """
    if (out / NAME).exists():
        return facts
    if out.is_dir() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise ConfigError(f"{out} holds files that are no embeddings: give a new or empty folder")
    return replace(facts, documents=len(surveyed(inputs)))


def begun(out: Path, facts: EmbeddingsFacts) -> EmbeddingsFacts:
    """Return what the folder holds by now, or begin it.

    Raises:
        CheckpointError: it was begun with another model.
        ConfigError: it was begun otherwise.
        DataError: it was begun with other documents.
    """
    if (out / NAME).exists():
        known = read_facts(out)
        _check_same(out, known, facts)
        return replace(known, model=facts.model)
    write_facts(out, facts)
    return facts


def _check_same(out: Path, known: EmbeddingsFacts, now: EmbeddingsFacts) -> None:
    _check_told(out, known, now, ("runtime",))
    if known.model_fingerprint != now.model_fingerprint:
        raise CheckpointError(
            f"{out} was begun with another model than {now.model} is now: give another --out"
        )
    if known.inputs != now.inputs:
        raise DataError(f"{out} was begun with other documents: give another --out")
    _check_told(out, known, now, ("shard_documents", "dtype", "dimension", "prompt", "max_length"))


def _check_told(
    out: Path, known: EmbeddingsFacts, now: EmbeddingsFacts, names: Sequence[str]
) -> None:
    for name in names:
        before, after = (getattr(facts, name) for facts in (known, now))
        if before != after:
            raise ConfigError(
                f"{out} was begun with {name} {before!r}, and now it is {after!r}: say the same, "
                "or give another --out"
            )
