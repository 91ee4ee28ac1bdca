"""`modernbert embed MODEL DOCS... --out DIR`: documents in, a folder of their vectors out."""

from pathlib import Path
from typing import Annotated

import tyro

from modernbert.base.log import say
from modernbert.cli.arguments import Model, Paths
from modernbert.cli.verbs import given
from modernbert.data.entry_columns import Keys
from modernbert.infer.embed_options import EmbedOptions


def embed(
    model: Model,
    documents: Paths,
    /,
    *,
    out: Path,
    keys: Annotated[Keys, tyro.conf.arg(name="")],
    options: Annotated[EmbedOptions, tyro.conf.arg(name="")],
) -> int:
    """Write the vectors of many documents, shard by shard: their number does not matter.

    The same command again goes on at the first shard that is missing, a file's too.

    Args:
        model: Folder of a model, or a hub id, with @revision or without.
        documents: .jsonl, .csv, .tsv, .json or .parquet, a row a document, also packed; .txt, a
            file a document; folders of these.
        out: Folder for embeddings.json and the shards, or one file: .npy, .parquet or .jsonl.
        keys: Columns.
        options: What is written, and who computes it.
    """
    from modernbert.infer.bulk import embed_corpus
    from modernbert.infer.vector_files import form_of, parts_of, write_file

    form = form_of(out)
    folder = out if form is None else parts_of(out)
    facts = embed_corpus(model, [Path(each) for each in given(documents)], folder, options, keys)
    if form is not None:
        write_file(folder, out)
    what = "a token" if facts.kind == "token" else "a document"
    say(
        f"{facts.documents:,} documents are in {out}: vectors of {facts.dimension} numbers "
        f"({facts.dtype}), one {what}; {facts.cut:,} were cut at {facts.max_length} tokens, "
        f"{facts.empty:,} have no text"
    )
    return 0
