"""`modernbert train-retriever KIND MODEL`: an encoder and pairs in, a retriever or reranker out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.retrieval.training.config import RetrieverConfig, Start

_INTERRUPTED = 130
_EXAMPLES = """
Teach an encoder to find, or to order, documents from pairs of queries and what answers them.

Examples:
  modernbert train-retriever dense run/model --pairs pairs.jsonl --out finder
  modernbert train-retriever colbert run/model --pairs scored.jsonl --out late --recipe colbert-base
  modernbert train-retriever sparse run/model --pairs pairs.tsv --out words
  modernbert train-retriever rerank run/model --pairs mined.jsonl --out order --loss lambda
  modernbert train-retriever --resume finder

Columns are guessed by their names, and said. `modernbert mine` adds negatives and a teacher's
scores. The best model is in OUT/model, where sentence-transformers, PyLate and servers open it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRetriever:
    """What the command takes."""

    kind: tyro.conf.Positional[Literal["dense", "colbert", "sparse", "rerank"]] = "dense"
    """What comes out: a vector a text (dense), a vector a token (colbert), a weight a word
    (sparse), or a score of a query and a document (rerank)."""
    start: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")] = ""
    """Folder of the model to start from, or its name on the hub."""
    out: Path | None = None
    """Folder of the run; the best model is in OUT/model."""
    resume: Path | None = None
    """Folder of a run to continue; takes no other option."""
    config: Annotated[RetrieverConfig, tyro.conf.arg(name="")]


def train_retriever(given: Sequence[str]) -> int:
    """Run the command."""
    parsed = tyro.cli(
        TrainRetriever,
        prog="modernbert train-retriever",
        description=_EXAMPLES,
        args=given or ["--help"],
    )
    others = {word.partition("=")[0] for word in given if word.startswith("--")}
    if parsed.resume and (parsed.start or others - {"--resume"}):
        raise ConfigError("--resume takes no other option: a run goes on as it began")
    if not parsed.resume and not (parsed.start and parsed.out and parsed.config.pairs):
        raise ConfigError(
            "training a retriever needs a kind and a model, --pairs FILE and --out DIR; to go on "
            "with one, give --resume DIR"
        )
    from modernbert.retrieval.training.train import resume, train

    if parsed.resume:
        model = resume(parsed.resume)
    else:
        start = Start(parsed.kind, parsed.start)
        model = train(start, parsed.config, parsed.out or Path())
    if model is None:
        return _INTERRUPTED
    say(f"the best model is in {model}")
    return 0
