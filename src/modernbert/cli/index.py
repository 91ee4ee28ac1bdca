"""`modernbert index` and `update-index`: documents in, a folder to search them in out."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.cli.arguments import Folder, Model, Paths
from modernbert.cli.verbs import given
from modernbert.data.entry_columns import Keys
from modernbert.retrieval.options import IndexOptions

if TYPE_CHECKING:
    from modernbert.data.entries import EntryFiles

_MANY = 4
"""A part of all documents: as many deleted ones as that are worth writing the others again."""
_Keys = Annotated[Keys, tyro.conf.arg(name="")]


def index(
    model: Model,
    docs: Paths,
    /,
    *,
    out: Path,
    keys: _Keys,
    options: Annotated[IndexOptions, tyro.conf.arg(name="")],
) -> int:
    """Make an index of documents that `modernbert search` finds them in.

    The same command again goes on where it was stopped. Documents that are too long are counted.

    Args:
        model: Folder of a model, or a hub id, with @revision or without: one vector a text, sparse
            ones, or one a token (late interaction).
        docs: .jsonl (also BEIR's corpus.jsonl, or the folder it is in), .csv, .tsv, .parquet, also
            packed (.gz, .zst), .txt, or folders of text files, whose paths are their ids.
        out: Folder for the index.
        keys: Columns of tables; all others are kept as metadata.
        options: How documents are read and kept.
    """
    from modernbert.retrieval.index import Index
    from modernbert.retrieval.loss import loss_of

    if not docs:
        raise ConfigError("there is nothing to index: give files or folders of documents")
    made = Index.create(out, model, _documents(docs, keys), options)
    loss = loss_of(made, model, options) if options.compress else None
    if loss is not None:
        say(
            f"of the ten best documents by whole vectors, {loss.kept:.1%} are found by those that "
            f"are kept ({loss.queries} beginnings of documents among {loss.documents})"
        )
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is done to an index: first documents are deleted, then some added."""

    delete: tuple[str, ...] = ()
    """Ids of documents to delete."""
    add: tuple[str, ...] = ()
    """Files and folders of documents to add, as `modernbert index` takes them."""
    replace: bool = False
    """Let added documents take the place of those with their ids."""
    compact: bool = False
    """Give the room of deleted documents back, and join small segments."""
    model: str = ""
    """Where the index's model lies now, if it was moved."""


def update_index(
    folder: Folder,
    /,
    *,
    changes: Annotated[Changes, tyro.conf.arg(name="")],
    keys: _Keys,
) -> int:
    """Add documents to an index, delete some, or tidy it up.

    Args:
        folder: Folder that `modernbert index` wrote.
        changes: What is done.
        keys: Columns of tables; all others are kept as metadata.
    """
    from modernbert.retrieval.index import Index

    if not (changes.delete or changes.add or changes.compact):
        raise ConfigError("there is nothing to do: give --add, --delete or --compact")
    found = Index.open(folder, model=changes.model)
    added = _documents(changes.add, keys) if changes.add else None
    if changes.delete:
        if added is not None:
            # What cannot be added is to be known before anything is deleted.
            found.check(added, replaces=changes.replace, without=changes.delete)
        unknown = found.delete(changes.delete)
        say(f"documents deleted: {len(set(changes.delete)) - len(unknown):,}")
        if unknown:
            say(f"ids that no document has: {len(unknown)}, such as {unknown[0]!r}")
    if added is not None:
        found.add(added, replaces=changes.replace)
    if changes.compact:
        found.compact()
    say(f"documents in {folder}: {len(found):,}")
    deleted = found.facts.num_deleted
    if deleted > len(found) // _MANY:
        say(f"deleted ones that still take room there: {deleted:,}; --compact gives it back")
    return 0


def _documents(written: tuple[str, ...], keys: Keys) -> "EntryFiles":
    from modernbert.data.entries import EntryFiles

    found = EntryFiles([Path(path) for path in given(written)], keys)
    if found.num_binary:
        say(f"files that are no text, passed over: {found.num_binary:,}")
    return found
