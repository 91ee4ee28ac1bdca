"""`modernbert evaluate SUITE MODEL`: a model in, how well it learns or searches a suite out."""

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.cli.arguments import Folder, Model, Models
from modernbert.cli.verb_of import Verbs, run_verb
from modernbert.evals.options import EvaluateOptions, RetrievalOptions

if TYPE_CHECKING:
    from modernbert.evals.retrieval_results import RetrievalResults

_INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an evaluation by fine-tuning is given beside the model."""

    out: Path
    """Folder for results.json, scorecard.html and all runs."""
    data: Path | None = None
    """Folder with a folder for each task; GLUE is taken from the hub without it."""
    options: Annotated[EvaluateOptions, tyro.conf.arg(name="")]
    as_json: bool = False
    """Print results.json instead of a table."""


_Asked = Annotated[Asked, tyro.conf.arg(name="")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What an evaluation of retrieval is given beside the model."""

    data: tuple[Path, ...]
    """Folders in BEIR's layout (corpus.jsonl, queries.jsonl, qrels/test.tsv), or of functions."""
    out: Path
    """Folder for results.json, the documents found, and the measures of each query."""
    as_json: bool = False
    """Print results.json instead of a table."""


_Searched = Annotated[Searched, tyro.conf.arg(name="")]
_Options = Annotated[RetrievalOptions, tyro.conf.arg(name="")]
_PLAIN = RetrievalOptions()
_SHORT, _LONG = 512, 8192
_CODE = RetrievalOptions(distractors=999)


def evaluate(arguments: Sequence[str]) -> int:
    """Measure a model on what the first argument names."""
    verbs: Verbs = {
        "glue": glue,
        "labels": labels,
        "retrieval": retrieval,
        "long": long,
        "code": code,
        "mteb": mteb,
        "similarity": similarity,
        "compare": compare,
    }
    said = "Measure how well a model learns labelled sets, or searches judged ones."
    return run_verb("evaluate", said, verbs, arguments)


def glue(model: Model, /, *, asked: _Asked) -> int:
    """Fine-tune a model on each of GLUE's eight tasks, and write a scorecard.

    The same command again goes on where it was, and repeats nothing that is finished.

    Args:
        model: Folder of a model, or a hub id, with @revision or without.
        asked: Where to, from where, and how.
    """
    return _learned("glue", model, asked)


def labels(model: Model, /, *, asked: _Asked) -> int:
    """Fine-tune a model on AG-News, movie reviews, NCBI-disease, GUM, CoNLL-2000 and XQuAD.

    The same command again goes on where it was, and repeats nothing that is finished.

    Args:
        model: Folder of a model, or a hub id, with @revision or without.
        asked: Where to, from where, and how.
    """
    return _learned("labels", model, asked)


def retrieval(
    model: Model,
    /,
    *,
    searched: _Searched,
    options: _Options = _PLAIN,
) -> int:
    """Search judged sets with a model, with BM25 and with both: nDCG@10, MRR@10, recall@100.

    Nothing is learned: the model is used as it is, by its folder's pooling and prompts. The same
    command again goes on where it was.

    Args:
        model: Folder of a model, or a hub id, with @revision or without.
        searched: What is searched, and where to.
        options: How.
    """
    return _searched(model, searched, options)


def long(
    model: Model,
    /,
    *,
    searched: _Searched,
    options: _Options = _PLAIN,
) -> int:
    """Search sets of long documents, cut at several lengths: what does reading more bring?

    Without --max-length these are 512 tokens and 8,192, or what the model reads if that is less.
    The same command again goes on where it was.

    Args:
        model: Folder of a model, or a hub id, with @revision or without.
        searched: What is searched, and where to.
        options: How.
    """
    if not options.max_length:
        options = replace(options, max_length=_lengths(model))
    return _searched(model, searched, options)


def _lengths(model: str) -> tuple[int, ...]:
    from modernbert.infer.hub import folder_of
    from modernbert.model.folder import read_config
    from modernbert.model.sentence_reader import model_place

    longest = min(_LONG, read_config(model_place(folder_of(model))).max_length)
    return (_SHORT, longest) if longest > _SHORT else (longest,)


def code(
    model: Model,
    /,
    *,
    searched: _Searched,
    options: _Options = _CODE,
) -> int:
    """Search functions by what their docstrings say, among all and among 999 others.

    The same command again goes on where it was.

    Args:
        model: Folder of a model, or a hub id, with @revision or without.
        searched: What is searched, and where to.
        options: How.
    """
    return _searched(model, searched, options)


def mteb(
    model: Model,
    /,
    *,
    out: Path,
    tasks: tuple[str, ...] = (),
    suite: Literal["beir", "mldr", "coir"] | None = None,
    options: _Options = _PLAIN,
    as_json: bool = False,
) -> int:
    """Search sets by their names in mteb, which takes them from the Hugging Face hub.

    The same command again goes on where it was.

    Args:
        model: Folder of a model, or a hub id, with @revision or without.
        out: Folder for results.json, the documents found, and the measures of each query.
        tasks: Names, such as SciFact NFCorpus.
        suite: The fifteen sets of BEIR, MLDR's English part, or the ten of CoIR.
        options: How they are searched.
        as_json: Print results.json instead of a table.
    """
    from modernbert.evals.mteb.tasks import evaluate_tasks, tasks_of

    found = tasks_of(tasks, suite)
    return _found(out, as_json, lambda: evaluate_tasks(model, found, out, options))


def similarity(
    models: Models,
    /,
    *,
    data: tuple[Path, ...],
    out: Path | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
) -> int:
    """Compare the cosines of pairs of texts with people's numbers, as STS-B is measured.

    Models need not be ModernBERTs: any that sentence-transformers opens is taken.

    Args:
        models: Folders of models, or hub ids.
        data: Files of rows with two texts and a number.
        out: Folder for similarity.json; without it the table alone is printed.
        device: cpu, cuda, mps, or auto.
    """
    from modernbert.evals.similarity import evaluate_similarity, lines_of, write

    if not models:
        raise ConfigError("there is no model to measure: name one or several")
    found = evaluate_similarity(models, data, device)
    if out is not None:
        write(found, out)
    print(lines_of(found))
    return 0


def compare(
    one: Folder,
    other: Folder,
    /,
    *,
    system: str = "model",
) -> int:
    """Say which of two evaluations of retrieval found more, and whether by chance.

    Args:
        one: Folder that `modernbert evaluate retrieval` wrote.
        other: Another one, of the same sets.
        system: What is compared: model, bm25, hybrid, reranked or joined.
    """
    from modernbert.evals import compare as comparing

    print(comparing.lines_of(comparing.compare(one, other, system)))
    return 0


def _searched(model: str, searched: Searched, options: RetrievalOptions) -> int:
    from modernbert.evals.retrieval import evaluate_retrieval

    def search() -> "RetrievalResults":
        return evaluate_retrieval(model, searched.data, searched.out, options)

    return _found(searched.out, searched.as_json, search)


def _found(out: Path, as_json: bool, search: Callable[[], "RetrievalResults"]) -> int:
    from modernbert.evals.retrieval_results import lines_of

    try:
        found = search()
    except KeyboardInterrupt:
        say(f"go on with the same command; {shlex.quote(str(out))} holds the sets that are done")
        raise
    _show(out, lines_of(found), as_json)
    say(f"every number is in {out / 'results.json'}, every query's in queries.jsonl beside it")
    return 0


def _learned(suite: Literal["glue", "labels"], model: str, asked: Asked) -> int:
    from modernbert.evals.evaluate import evaluate as measure
    from modernbert.evals.scorecard import lines_of

    out = asked.out
    results = measure(suite, model, asked.data, out, asked.options)
    if results is None:
        say(f"go on with the same command; {shlex.quote(str(out))} holds what is finished")
        return _INTERRUPTED
    _show(out, lines_of(results), asked.as_json)
    say(f"the scorecard is in {out / 'scorecard.html'}, every number in {out / 'results.json'}")
    return 0


def _show(out: Path, table: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps(json.loads((out / "results.json").read_text("utf-8")), indent=2))
    else:
        print(table)
