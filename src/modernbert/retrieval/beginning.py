"""A folder, a model and documents in, an index begun or gone on with out."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from modernbert import __version__
from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.data.entries import Entry, fingerprint_of
from modernbert.retrieval.index_files import IndexFacts, as_seen_from
from modernbert.retrieval.options import APPROXIMATE_ABOVE, IndexOptions
from modernbert.retrieval.writing import Writer

if TYPE_CHECKING:
    from modernbert.infer.pretrained import Pretrained


def begun(folder: Path, model: str, options: IndexOptions) -> "tuple[Pretrained, IndexFacts]":
    """Open a model, and say what an index of it would be.

    Raises:
        CheckpointError: the model cannot be read.
        ConfigError: it cannot read documents as is asked.
        MachineError: the device is not there.
    """
    from modernbert.base.device import choose_device
    from modernbert.infer.fingerprint import fingerprint_of_model
    from modernbert.infer.heads import warn_of_head
    from modernbert.infer.pretrained import load
    from modernbert.retrieval.vectors import encode_queries, kind_of, settled

    opened = load(model, runtime=options.runtime).to(choose_device(options.device))
    warn_of_head(model, opened)
    reading = settled(opened, options.reading())
    kind = kind_of(opened.sentence.config)
    return opened, IndexFacts(
        version=__version__,
        model=as_seen_from(folder, model),
        fingerprint=fingerprint_of_model(model, options.runtime),
        kind=kind,
        dim=encode_queries(opened, ["x"])[0].shape[1],
        similarity="maxsim" if kind == "late" else opened.sentence.config.similarity,
        reading=reading,
        approximate_above=options.approximate_above or APPROXIMATE_ABOVE.get(kind, 0),
        runtime=options.runtime,
    )


def check_same(
    folder: Path, there: IndexFacts, wanted: IndexFacts, documents: Iterable[Entry]
) -> None:
    """Refuse to go on with an index that was begun otherwise.

    Raises:
        ConfigError: its model, its options or its documents are others.
    """
    if there is wanted:
        return
    if any(
        one != other
        for one, other in (
            (there.fingerprint, wanted.fingerprint),
            (there.reading, wanted.reading),
            (there.approximate_above, wanted.approximate_above),
        )
    ):
        raise ConfigError(
            f"{folder} is an index of another model or other options: give the same ones, or a new "
            "folder"
        )
    if there.source is None or there.source.fingerprint != fingerprint_of(documents):
        raise ConfigError(
            f"{folder} is an index of other documents: add to it with `modernbert update-index "
            f"{folder} --add PATH` (with --replace if it holds some of them), or give a new folder"
        )


def fill(
    writer: Writer, documents: Iterable[Entry], model: "Pretrained", *, replaces: bool
) -> None:
    """Add documents, then make the graph of neighbours where one is due, and say what was cut."""
    before = writer.facts.num_cut
    try:
        writer.add(documents, model, replaces=replaces)
        writer.link()
    except KeyboardInterrupt:
        say(
            f"{writer.facts.num_documents:,} documents are in {writer.folder}; the same command "
            "goes on"
        )
        raise
    facts = writer.facts
    if facts.num_cut > before:
        say(
            f"documents longer than {facts.reading.max_length:,} tokens, cut there: "
            f"{facts.num_cut - before:,}; {_reads_more(facts, model.config.max_length)}"
        )
    say(f"{facts.num_documents:,} documents can be searched in {writer.folder}")


def _reads_more(facts: IndexFacts, longest: int) -> str:
    if facts.kind == "dense":
        return "--long chunks reads all of them"
    if facts.reading.max_length < longest:
        return f"--max-length {longest} reads more of them"
    return "this model reads no more of a document"


def described(facts: IndexFacts, model: "Pretrained") -> str:
    """Say in a line how documents are read and kept."""
    reading = facts.reading
    read = f"documents are read whole, up to {reading.max_length:,} tokens"
    if reading.long == "late-chunks":
        read = (
            f"documents are read up to {reading.max_length:,} tokens, and then divided into chunks "
            f"of {reading.chunk_tokens:,} at most"
        )
    if reading.long == "chunks":
        read = f"documents are read in chunks of {reading.chunk_tokens:,} tokens at most"
    pool = f", {reading.pool} tokens pooled" if reading.pool > 1 else ""
    kept = f"computed in {model.computes}, kept as {reading.numbers}{pool}"
    return f"{facts.kind} vectors of {facts.dim} by {facts.similarity}, {kept}; {read}"
