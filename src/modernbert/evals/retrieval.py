"""A model and judged sets in; how well it finds what people judged, beside BM25, out.

OUT/results.json  means, and what they were made with; the sets that are finished
OUT/SET/          what was found, and every query's measures, see `searching`
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modernbert.base import files
from modernbert.base.device import choose_device
from modernbert.base.errors import ConfigError, DataError
from modernbert.base.lock import alone
from modernbert.base.log import say
from modernbert.data.functions import holds_functions, read_functions
from modernbert.data.judged import JudgedSet, read_judged
from modernbert.evals.judging import check_installed
from modernbert.evals.options import RetrievalOptions
from modernbert.evals.retrieval_results import (
    Asked,
    RetrievalResults,
    SetResult,
    begun,
    write,
)
from modernbert.evals.searching import Searcher, find, measure, say_what
from modernbert.infer.fingerprint import fingerprint_of_model
from modernbert.infer.heads import warn_of_head
from modernbert.infer.pretrained import load
from modernbert.infer.reranking import check_reranker
from modernbert.retrieval.vectors import check_length, length_read


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A set that is to be searched."""

    name: str
    fingerprint: str
    """Name of its content: what was searched before is not searched again."""
    searched: Callable[[Path], SetResult]
    """Searches it, and leaves what was found in a folder."""
    group: str = ""


def evaluate_retrieval(
    model: str, folders: Sequence[Path], out: Path, options: RetrievalOptions
) -> RetrievalResults:
    """Search each set whole with a model, with BM25 and with both, and write what was reached.

    The same call again skips the sets that are finished.

    Raises:
        CheckpointError: the model cannot be read.
        ConfigError: two sets have one name, the model's way of comparing is unknown, or the folder
            holds results of another model or with other options.
        DataError: a set cannot be read.
        MachineError: a package is missing, or the folder cannot be written.
    """
    check_installed()
    if not folders:
        raise ConfigError("--data names no folder: give at least one")
    # All are read before one is searched, so that a broken one is found at once; none is kept.
    content = {folder: read_set(folder, options.split).fingerprint for folder in folders}
    names = [folder.resolve().name for folder in folders]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"two folders are called {twice!r}: give each another name")
    with files.promised_folder(out):
        by = opened(model, options)

        def job(folder: Path) -> Job:
            def searched(target: Path) -> SetResult:
                given = read_set(folder, options.split)
                say_what(given)
                return measure(find(by, given, options), given, target, options)

            return Job(folder.resolve().name, content[folder], searched)

        return run([job(folder) for folder in folders], asked_of(model, by, options), out)


def read_set(folder: Path, split: str) -> JudgedSet:
    """Read a folder in BEIR's layout, or one of functions with docstrings.

    Raises:
        DataError: it is neither, or broken, or nothing answers a query.
    """
    found = (read_functions if holds_functions(folder) else read_judged)(folder, split)
    if not found.answers():
        raise DataError(
            f"{folder}: no query judged in {split} has an answer in the corpus, so nothing can be "
            "measured: give another --split, or complete the set"
        )
    return found


def opened(model: str, options: RetrievalOptions) -> Searcher:
    """Open the models that search, on the device that is asked for.

    Raises:
        CheckpointError: a model cannot be read.
        ConfigError: the reranker is none, or the model does not read so much of a text.
        MachineError: the device is not there.
    """
    device = choose_device(options.device)
    found = load(model, runtime=options.runtime).to(device)
    warn_of_head(model, found)
    reranker = load(options.reranker).to(device) if options.reranker else None
    if reranker is not None:
        check_reranker(reranker)
    for asked in options.max_length:
        check_length(asked, found.config.max_length)
    return Searcher(found, reranker, tuple(sorted(options.max_length)) or (length_read(found),))


def asked_of(model: str, by: Searcher, options: RetrievalOptions) -> RetrievalResults:
    """Return what an evaluation is of, before anything is searched."""
    asked = Asked(
        model_fingerprint=fingerprint_of_model(model, options.runtime),
        reranker_fingerprint=fingerprint_of_model(options.reranker) if options.reranker else "",
        split=options.split,
        lengths=by.lengths,
        number=options.number,
        bm25=options.bm25,
        rerank=options.num_reranked,
        distractors=options.distractors,
        ignore_identical_ids=options.ignore_identical_ids,
    )
    return RetrievalResults(model, options.reranker, asked)


def run(jobs: Sequence[Job], asked: RetrievalResults, out: Path) -> RetrievalResults:
    """Search the sets that a folder has no results of, and write each as it is finished.

    Raises:
        ConfigError: the folder holds results of another model, other options or other sets, or
            another process writes to it.
        MachineError: it cannot be written.
    """
    with alone(out, "written to"):
        return _run(jobs, asked, out)


def _run(jobs: Sequence[Job], asked: RetrievalResults, out: Path) -> RetrievalResults:
    found = begun(asked, out)
    for job in jobs:
        before = next((each for each in found.sets if each.name == job.name), None)
        if before is None:
            result = job.searched(out / job.name)
            result = replace(result, fingerprint=job.fingerprint, group=job.group)
            found = replace(found, sets=(*found.sets, result))
            write(found, out)
        elif before.fingerprint != job.fingerprint:
            raise ConfigError(
                f"{out / job.name} is of other texts or judgements of that name: give another "
                "folder"
            )
        else:
            say(f"{job.name} was searched before")
    return found
