"""`modernbert distill TEACHER --texts FILES --out DIR`: a large model in, a small one out."""

from pathlib import Path
from typing import Annotated

import tyro

from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.retrieval.distill.options import DistillOptions

_INTERRUPTED = 130


def distill(
    teacher: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TEACHER")],
    /,
    *,
    out: Path,
    options: Annotated[DistillOptions, tyro.conf.arg(name="")],
) -> int:
    """Teach a small model to give texts the vectors that a larger one gives them.

    It needs text of the kind that is to be compared or searched, and no labels. The model is in
    OUT/run/model, where sentence-transformers opens it. The same command again goes on where it
    was stopped.

    Examples:
      modernbert distill sentence-transformers/all-MiniLM-L6-v2 --texts texts --out small
      modernbert distill teacher --texts a.jsonl b.parquet --student run/model --out small

    Args:
        teacher: Folder or hub id of a ModernBERT, or of any model of sentence-transformers.
        out: Folder for all that is made.
        options: What the student is, and how it learns.
    """
    if not options.texts:
        raise ConfigError("a student learns from text: name files or folders with --texts")
    from modernbert.retrieval.distill.distill import distill as run

    summary = run(teacher, out, options)
    if summary is None:
        return _INTERRUPTED
    say(
        f"held-out passages: cosine to the teacher's vectors {summary.dev['cosine']:.4f}, order of "
        f"likeness {summary.dev['spearman']:.4f}; the model is in {out / 'run' / 'model'}"
    )
    return 0
