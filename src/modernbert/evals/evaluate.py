"""A suite, a model and data in; results.json and scorecard.html out.

OUT/data/        each task's parts, as they are read
OUT/runs/        a folder a task, with a folder a run
OUT/random/      the same for a model of the same shape that has learned nothing
OUT/results.json what was reached, with all that it was made with
OUT/scorecard.html
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from modernbert.base import files
from modernbert.base.errors import ConfigError, DataError
from modernbert.base.log import say
from modernbert.base.records import nearest, to_plain
from modernbert.data.tokenizer import Tokenizer
from modernbert.evals.baselines import check_installed, classical
from modernbert.evals.glue import GLUE
from modernbert.evals.labelled_sets import LABELLED_SETS
from modernbert.evals.options import EvaluateOptions
from modernbert.evals.results import UNASKED, Results, TaskResult, average_of, score_of
from modernbert.evals.rounds import Learned, Rounds
from modernbert.evals.scorecard import scorecard
from modernbert.evals.suite import BASE_DIM, Suite, SuiteTask, raised
from modernbert.evals.suite_files import Missing, Prepared, plain, prepare
from modernbert.evals.sweep import provenance
from modernbert.infer.hub import dataset_folder, folder_of
from modernbert.infer.pretrained import Pretrained
from modernbert.model.folder import read_config
from modernbert.model.init import build
from modernbert.model.sentence_reader import model_place
from modernbert.train.checkpoint import FORMAT
from modernbert.train.processes import default_jobs
from modernbert.train.variants import SEED, axes_of

SUITES: dict[str, Suite] = {"glue": GLUE, "labels": LABELLED_SETS}

_RANDOM = "the same shape from random weights"


def evaluate(
    name: str, model: str, data: Path | None, out: Path, options: EvaluateOptions
) -> Results | None:
    """Learn every task of a suite from a model, and write what was reached; None if interrupted.

    The same call again goes on where it was, and repeats nothing that is finished.

    Raises:
        ConfigError: a task or option is unknown, or the folder holds something else.
        CheckpointError: the model cannot be read.
        DataError: no task's data is there, or a file is broken.
        MachineError: a package is missing, or the folder cannot be written.
    """
    suite = SUITES[name]
    tasks = _asked(suite, options)
    if options.baselines:
        check_installed()
    place = model_place(folder_of(model)).resolve()
    shape, out = read_config(place), out.resolve()
    prepared = _prepared(suite, tasks, data, out, options)
    there = {
        task.name: (task, given)
        for task in tasks
        if isinstance(given := prepared[task.name], Prepared)
    }
    if not there:
        reasons = "; ".join(g.reason for g in prepared.values() if isinstance(g, Missing))
        raise DataError(f"nothing of {suite.name} can be measured: {reasons}")
    rounds = Rounds(there, shape, options, options.jobs or default_jobs(options.device))
    learned = rounds.learn(place, out / "runs")
    random = _random(rounds, learned, place, out) if options.baselines and learned else {}
    if learned is None or random is None:
        return None
    results = _results(suite, model, options, rounds, (prepared, learned, random))
    record = {"format": FORMAT, **to_plain(results), **provenance()}
    files.write_json(out / "results.json", record)
    with files.whole_file(out / "scorecard.html") as aside:
        aside.write_text(scorecard(suite, results, provenance()), encoding="utf-8")
    return results


def _asked(suite: Suite, options: EvaluateOptions) -> list[SuiteTask]:
    if SEED in [axis.name for axis in axes_of(options.sweep)]:
        raise ConfigError("--sweep names seeds: say how many with --seeds")
    known = {plain(task.name): task for task in suite.tasks}
    for name in options.tasks:
        if plain(name) not in known:
            raise ConfigError(
                f"there is no task {name!r} in {suite.name}: "
                f"{nearest(name, [task.name for task in suite.tasks])}"
            )
    wanted = {plain(name) for name in options.tasks} or {*known}
    return [task for key, task in known.items() if key in wanted]


def _prepared(
    suite: Suite,
    tasks: Sequence[SuiteTask],
    data: Path | None,
    out: Path,
    options: EvaluateOptions,
) -> dict[str, Prepared | Missing]:
    if data is None and not suite.hub:
        raise ConfigError(f"the sets of {suite.name} are in no one place: name theirs with --data")
    if data is not None and not data.is_dir():
        raise DataError(f"{data} is no folder: give the one that holds the tasks' folders")
    source = data or dataset_folder(
        suite.hub, [f"{plain(task.name)}/{part}*" for task in tasks for part in ("train", "val")]
    )
    found = {
        task.name: prepare(task, source, out / "data" / plain(task.name), options.max_train_rows)
        for task in tasks
    }
    for name, given in found.items():
        if isinstance(given, Missing):
            say(f"{name} is missing: {given.reason}")
    for sentence in _unlike(suite, found):
        say(sentence)
    return found


def _random(
    rounds: Rounds, learned: Mapping[str, Learned], model: Path, out: Path
) -> dict[str, Learned] | None:
    """Learn the same tasks with the same settings from weights that have learned nothing."""
    start = out / "random" / "model"
    if not start.is_dir():
        Pretrained(build(rounds.shape, seed=0), Tokenizer.load(model)).save(start)
    say(f"and now {_RANDOM}, with the same settings")
    settings = {name: each.group.settings for name, each in learned.items()}
    return rounds.learn(start, out / "random", settings)


_Found = tuple[Mapping[str, Prepared | Missing], Mapping[str, Learned], Mapping[str, Learned]]


def _results(
    suite: Suite, model: str, options: EvaluateOptions, rounds: Rounds, found: _Found
) -> Results:
    prepared, learned, random = found
    tasks = []
    for task in suite.tasks:
        given = prepared.get(task.name, Missing(UNASKED))
        if isinstance(given, Missing):
            tasks.append(TaskResult(task.name, missing=given.reason))
            continue
        tasks.append(_result(learned[task.name], given, random.get(task.name), options))
    average, averaged = average_of(suite, tasks)
    profile = _profile(rounds.shape.dim, options)
    notes = (*suite.notes, *_notes(options), *_unlike(suite, prepared))
    return Results(suite.name, model, profile, notes, average, averaged, tuple(tasks))


def _result(
    learned: Learned, given: Prepared, random: Learned | None, options: EvaluateOptions
) -> TaskResult:
    others = classical(learned.task, given) if options.baselines else []
    if random is not None:
        others.append(score_of(_RANDOM, learned.task, random.group))
    return TaskResult(
        task=learned.task.name,
        started_from=learned.start.told,
        settings={each.name: each.value for each in learned.group.settings},
        num_tried=learned.num_tried,
        rows=given.rows,
        score=score_of("the model", learned.task, learned.group),
        others=tuple(others),
    )


def _profile(dim: int, options: EvaluateOptions) -> str:
    found = "published best settings" if options.quick else "best of a grid, on the dev parts"
    factor = raised(dim)
    scaled = f"; rates {factor:.3g} times those for a width of {BASE_DIM}" if factor > 1 else ""
    own = f"; but {' '.join(options.sweep)}" if options.sweep else ""
    return f"{found}{scaled}{own}; {options.seeds} seeds"


def _unlike(suite: Suite, prepared: Mapping[str, Prepared | Missing]) -> list[str]:
    """Say which dev parts are not those that published scores are of."""
    sizes = [
        f"{task.name} ({given.rows['dev']:,} examples here, {task.dev_rows:,} there)"
        for task in suite.tasks
        if isinstance(given := prepared.get(task.name), Prepared)
        and task.dev_rows
        and task.dev_rows != given.rows["dev"]
    ]
    if not sizes:
        return []
    return [
        f"Not the dev parts that published scores are of, and not to be compared with these: "
        f"{', '.join(sizes)}."
    ]


def _notes(options: EvaluateOptions) -> list[str]:
    if not options.max_train_rows:
        return []
    return [f"At most {options.max_train_rows} examples of each task were learned from."]
