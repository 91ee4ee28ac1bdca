"""`modernbert bench WHAT`: a named case measured beside other people's code, a row appended."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from modernbert.base.errors import ConfigError
from modernbert.bench.cases import (
    AccelerateCase,
    EmbeddingCase,
    FinetuningCase,
    MaxSimCase,
    SearchCase,
)
from modernbert.bench.efficiency_case import EfficiencyCase
from modernbert.bench.loading_case import LoadingCase
from modernbert.bench.serving_case import ServingCase
from modernbert.bench.training_case import TrainingCase
from modernbert.cli.arguments import Model
from modernbert.cli.verb_of import Verbs, run_verb

Out = Path("benchmarks")


def bench(arguments: Sequence[str]) -> int:
    """Measure what the first argument names."""
    verbs: Verbs = {
        "training": training,
        "loading": loading,
        "efficiency": efficiency,
        "accelerate": accelerate,
        "finetuning": finetuning,
        "embedding": embedding,
        "maxsim": maxsim,
        "search": search,
        "serving": serving,
    }
    said = "Measure this package beside others, and append a row to OUT/WHAT.jsonl."
    return run_verb("bench", said, verbs, arguments)


def training(
    *,
    corpus: Path | None = None,
    case: Annotated[TrainingCase, tyro.conf.arg(name="")],
    out: Path = Out,
) -> int:
    """Time optimizer steps of pretraining, packed and padded, beside a loop over transformers.

    All have the same weights, documents and hidden tokens, each a process of its own, in turns;
    first losses and gradients are compared before anything is timed.

    Args:
        corpus: Folder made by `modernbert prepare`; without it documents are drawn.
        case: Sizes.
        out: Folder of the rows.
    """
    from modernbert.bench.training import measure

    return _kept(out, "training", lambda: [measure(case, corpus)])


def loading(
    *,
    corpus: Path,
    texts: Path | None = None,
    case: Annotated[LoadingCase, tyro.conf.arg(name="")],
    out: Path = Out,
) -> int:
    """Say how full the rows of a corpus are, and time its loader beside training that reads it.

    Args:
        corpus: Folder made by `modernbert prepare`.
        texts: Text file, folder, .jsonl(.gz, .zst) or .parquet that is prepared in turns with it.
        case: Rows and the training beside them.
        out: Folder of the rows.
    """
    from modernbert.bench.loading import measure

    return _kept(out, "loading", lambda: [measure(case, corpus, texts)])


def efficiency(
    *,
    case: Annotated[EfficiencyCase, tyro.conf.arg(name="")],
    lengths: tuple[int, ...] = (),
    texts: Path | None = None,
    tokenizer: Path | None = None,
    out: Path = Out,
) -> int:
    """Time encoding by models of several shapes, each with its runtimes, and take their memory.

    Runtimes of one model have the same weights and documents, each a process of its own, in
    turns; vectors are compared before anything is timed.

    Args:
        case: Models, runtimes and documents.
        lengths: Tokens of every document; each number given makes a row of its own.
        texts: Text file, folder, .jsonl(.gz, .zst) or .parquet whose lengths the case text takes.
        tokenizer: Folder that holds tokenizer.json, to count the tokens of these texts.
        out: Folder of the rows.
    """
    from modernbert.bench.efficiency import curve, measure

    if not lengths:
        return _kept(out, "efficiency", lambda: [measure(case, texts, tokenizer)])
    if texts or tokenizer or case.case not in ("short", "fixed"):
        raise ConfigError("--lengths makes documents of its own: leave --case and --texts out")
    return _kept(out, "efficiency", lambda: curve(case, lengths))


def accelerate(
    *,
    model: Path,
    texts: Path | None = None,
    case: Annotated[AccelerateCase, tyro.conf.arg(name="")],
    out: Path = Out,
) -> int:
    """Time a model in sentence-transformers before and after `modernbert.accelerate`.

    The same texts, weights and process, in turns; vectors are compared before anything is timed.

    Args:
        model: Folder of a model, with modules.json or without.
        texts: Text file, folder, .jsonl(.gz, .zst) or .parquet; by default this package's source.
        case: Which texts, and how they are batched.
        out: Folder of the rows.
    """
    from modernbert.bench.accelerate import measure

    return _kept(out, "accelerate", lambda: [measure(model, texts, case)])


def finetuning(
    model: Model,
    /,
    *,
    case: Annotated[FinetuningCase, tyro.conf.arg(name="")],
    out: Path = Out,
) -> int:
    """Fine-tune beside Hugging Face's Trainer: speed, memory and the score on the dev examples.

    The same model, examples, epochs, batch size and rates, each side in a process of its own, in
    turns, with several seeds.

    Args:
        model: Folder of a model, or its name on the hub.
        case: Examples and budget.
        out: Folder of the rows.
    """
    from modernbert.bench.finetuning import measure
    from modernbert.infer.hub import folder_of
    from modernbert.model.sentence_reader import model_place

    return _kept(out, "finetuning", lambda: [measure(model_place(folder_of(model)), case)])


def embedding(
    model: Model,
    /,
    *,
    texts: Path | None = None,
    beside: str | None = None,
    case: Annotated[EmbeddingCase, tyro.conf.arg(name="")],
    out: Path = Out,
) -> int:
    """Time embedding texts by the engine against `SentenceTransformer.encode` of the same folder.

    The same texts, weights and precision, each side in a process of its own, in turns; vectors
    are compared before anything is timed.

    Args:
        model: Folder of a model, with modules.json or without, or a hub id.
        texts: Text file, folder, .jsonl(.gz, .zst) or .parquet; by default this package's source.
        beside: Folder or hub id of any other model of sentence-transformers to time too, such as
            the teacher of a distilled one.
        case: Which texts.
        out: Folder of the rows.
    """
    from modernbert.bench.embedding import measure

    return _kept(out, "embedding", lambda: [measure(model, texts, case, beside)])


def maxsim(*, case: Annotated[MaxSimCase, tyro.conf.arg(name="")], out: Path = Out) -> int:
    """Time late interaction against sentence-transformers 6 and PyLate's formula.

    The same vectors, each side in a process of its own, in turns; scores are compared before
    anything is timed.

    Args:
        case: Sizes.
        out: Folder of the rows.
    """
    from modernbert.bench.maxsim import measure

    return _kept(out, "maxsim", lambda: [measure(case)])


def search(
    *,
    given: Path | None = None,
    case: Annotated[SearchCase, tyro.conf.arg(name="")],
    out: Path = Out,
) -> int:
    """Time an index searched exactly and approximately, and count what the latter misses.

    Args:
        given: A .npy of vectors [V K], such as a shard of `modernbert embed`, in place of drawn
            ones; the last of them are the queries.
        case: Sizes.
        out: Folder of the rows.
    """
    from modernbert.bench.search import measure

    return _kept(out, "search", lambda: [measure(given, case)])


def serving(
    model: Model = "ettin-17m",
    /,
    *,
    infinity: Path | None = None,
    case: Annotated[ServingCase, tyro.conf.arg(name="")],
    out: Path = Out,
) -> int:
    """Put this package's server under load beside FastAPI around sentence-transformers, and others.

    The same model in float32, texts of mixed lengths, and clients that ask again at once; servers
    are started in turns. Vectors are compared before anything is timed.

    Args:
        model: Name of a preset, which gets random weights; or folder of a model, or a hub id.
        infinity: Python of an environment with infinity-emb, to measure that too.
        case: Clients, requests and time.
        out: Folder of the rows.
    """
    from modernbert.bench.serving import measure

    return _kept(out, "serving", lambda: [measure(model, case, infinity)])


def _kept(out: Path, what: str, measure: Callable[[], Iterable[dict[str, Any]]]) -> int:
    """Append each row as it comes to a file that is known to take it before hours are spent."""
    from modernbert.base import files

    path = out / f"{what}.jsonl"
    with files.promised_rows(path):
        for row in measure():
            files.append(path, json.dumps(row) + "\n")
    return 0
