"""Sets of mteb in, by name or made there; how well a model searches them out."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from modernbert.base import files
from modernbert.base.errors import ConfigError, DataError, reason_of
from modernbert.base.log import say
from modernbert.base.records import nearest
from modernbert.evals.judging import check_installed
from modernbert.evals.mteb.models import Search, check_mteb
from modernbert.evals.options import RetrievalOptions
from modernbert.evals.retrieval import Job, asked_of, opened, run
from modernbert.evals.retrieval_results import RetrievalResults, SetResult
from modernbert.evals.searching import Searcher, measure

Suite = Literal["beir", "mldr", "coir"]
_BENCHMARKS = {"beir": "BEIR", "coir": "CoIR"}
_MLDR = "MultiLongDocRetrieval"


def tasks_of(names: Sequence[str], suite: Suite | None) -> list[Any]:
    """Return mteb's tasks of these names and of a suite; nothing is downloaded yet.

    Raises:
        ConfigError: mteb has no such task, it is not one of searching texts, or none is named.
        MachineError: mteb is missing.
    """
    mteb = check_mteb()
    found = [_named(mteb, name) for name in names]
    if suite == "mldr":
        found += mteb.get_tasks([_MLDR], languages=["eng"])
    elif suite is not None:
        found += mteb.get_benchmark(_BENCHMARKS[suite]).tasks
    if not found:
        raise ConfigError("no set is named: give --tasks, or --suite beir, mldr or coir")
    for task in found:
        if task.metadata.type != "Retrieval" or task.metadata.modalities != ["text"]:
            raise ConfigError(
                f"{task.metadata.name} is of mteb's type {task.metadata.type}: sets that are "
                "searched are of type Retrieval, and of text"
            )
    return found


def evaluate_tasks(
    model: str, tasks: Sequence[Any], out: Path, options: RetrievalOptions
) -> RetrievalResults:
    """Search tasks of mteb by the model, and by all that `evaluate_retrieval` sets beside it.

    mteb loads the sets and scores what the model found (`official`); the same call again skips
    what is finished.

    Raises:
        CheckpointError: the model cannot be read.
        ConfigError: as of `evaluate_retrieval`.
        DataError: mteb cannot load a set.
        MachineError: a package is missing, or the folder cannot be written.
    """
    check_installed()
    with files.promised_folder(out):
        by = opened(model, options)
        jobs = [job for task in tasks for job in _jobs(task, by, options)]
        return run(jobs, asked_of(model, by, options), out)


def _named(mteb: Any, name: str) -> Any:
    try:
        return mteb.get_task(name)
    except KeyError:
        known = [task.metadata.name for task in mteb.get_tasks()]
        raise ConfigError(f"mteb has no task {name!r}: {nearest(name, known)}") from None


def _jobs(task: Any, by: Searcher, options: RetrievalOptions) -> Iterator[Job]:
    """Yield the jobs of a task, or of those it is made of, as CQADupstack is of twelve."""
    from mteb.abstasks.aggregated_task import AbsTaskAggregate

    is_many = isinstance(task, AbsTaskAggregate)
    for part in task.metadata.tasks if is_many else [task]:
        for job in _jobs_of_one(part, by, options):
            yield replace(job, group=task.metadata.name)


def _jobs_of_one(task: Any, by: Searcher, options: RetrievalOptions) -> Iterator[Job]:
    """Yield a job for each language and split of a task; the asked split alone where it has it."""
    splits = [options.split] if options.split in task.eval_splits else task.eval_splits
    places = [(subset, split) for subset in task.hf_subsets for split in splits]
    source = task.metadata.dataset
    for subset, split in places:
        parts = [task.metadata.name]
        parts += [subset] if len(task.hf_subsets) > 1 else []
        parts += [split] if len(splits) > 1 else []

        def searched(out: Path, place: tuple[str, str] = (subset, split)) -> SetResult:
            found = _searched(task, place, out, by, options)
            if place == places[-1]:
                task.unload_data()
            return found

        content = f"{source['path']}@{source['revision']} {subset} {split}"
        yield Job("-".join(parts), content, searched)


def _searched(
    task: Any, place: tuple[str, str], out: Path, by: Searcher, options: RetrievalOptions
) -> SetResult:
    subset, split = place
    _load(task)
    judged = task.dataset[subset][split]["relevant_docs"]
    options = replace(options, ignore_identical_ids=task.ignore_identical_ids)
    search = Search(by, options, out.name, judged)
    scores = task.evaluate(search, split, [subset], encode_kwargs={})
    assert search.found is not None
    result = measure(search.found, search.given, out, options)
    return replace(result, official=float(scores[subset]["main_score"]))


def _load(task: Any) -> None:
    name = task.metadata.name
    if not task.data_loaded:
        say(f"{name}: mteb loads it")
    try:
        task.load_data()
        task.convert_v1_dataset_format_to_v2(num_proc=None)
    except Exception as error:  # of the hub, of datasets, of the task's own code
        raise DataError(
            f"mteb cannot load {name} ({reason_of(error)}): it takes sets from the Hugging Face "
            "hub or its cache; check the network, or give folders to `evaluate retrieval`"
        ) from error
