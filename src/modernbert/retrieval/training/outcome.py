"""A finished training in, its summary and the card of its best model out."""

from dataclasses import dataclass
from pathlib import Path

from modernbert.base import files
from modernbert.base.log import say
from modernbert.base.records import to_plain
from modernbert.data.judged import JudgedSet
from modernbert.infer.pretrained import load
from modernbert.model import card
from modernbert.model.card_facts import Origin, PartRow, TuningFacts
from modernbert.retrieval.training.checkpoints import PLACE
from modernbert.retrieval.training.config import RetrieverConfig
from modernbert.retrieval.training.job import START, Job
from modernbert.train.checkpoint import FORMAT
from modernbert.train.description import read_description
from modernbert.train.rows import EVALUATIONS, METRICS, steps_in
from modernbert.train.summary import NAME
from modernbert.train.tune_card import short

_PLACES = ("step", "epoch", "is_best")
_SETTINGS = (
    *("loss", "epochs", "batch_size", "lr", "warmup", "temperature", "max_length", "seed"),
)
_UNUSUAL = (
    *("matryoshka", "query_length", "query_prompt", "document_prompt", "weight_decay"),
    "score_scale",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a training."""

    decisive: str
    """Which measure made the model the best."""
    step: int
    """Step of the best model."""
    epoch: float
    before: dict[str, float]
    """Measures of the model before the first step."""
    best: dict[str, float]
    """Measures of the best model."""
    steps: int
    """Steps that were taken in all."""
    pairs: int
    """Pairs that were learned from."""
    seconds: float
    """Time in steps, evaluations left out."""


def is_finished(folder: Path) -> bool:
    """Return whether a training came to its end."""
    return (folder / NAME).is_file()


def settle(job: Job) -> Path:
    """Write what came of a training, and remove what only going on needs.

    Raises:
        MachineError: the folder cannot be written.
    """
    folder = job.folder
    found = _outcome(job)
    best, before = found.best[found.decisive], found.before[found.decisive]
    if best < before:
        say(
            f"{found.decisive} is {best:.4f}, and was {before:.4f} before training: the model is "
            "worse than the one it began from"
        )
    _describe(job, found)
    files.write_json(folder / NAME, {"format": FORMAT, **to_plain(found)})
    for name in (PLACE, START):
        files.remove_folder(folder / name)
    return folder / "model"


def _outcome(job: Job) -> Outcome:
    rows = steps_in(job.folder / EVALUATIONS)
    steps = steps_in(job.folder / METRICS)
    best = next(row for row in reversed(rows) if row["is_best"])
    measures = [name for name in best if name not in _PLACES]
    return Outcome(
        decisive=measures[0],
        step=best["step"],
        epoch=best["epoch"],
        before={name: rows[0][name] for name in measures},
        best={name: best[name] for name in measures},
        steps=len(steps),
        pairs=len(job.learned.pairs),
        seconds=sum(row["seconds"] for row in steps),
    )


def _describe(job: Job, found: Outcome) -> None:
    """Tell in the best model's card what it learned from, and how well."""
    folder = job.folder / "model"
    opened = load(folder)
    told = read_description(job.folder)
    host = told["machine"]
    facts = TuningFacts(
        command=f"train-retriever {job.start.kind}",
        start=short(job.start.model) if Path(job.start.model).is_dir() else job.start.model,
        parts=_files(job),
        amount=f"{found.pairs * job.config.epochs:,} pairs",
        epoch=found.epoch,
        decisive=found.decisive,
        settings=_settings(job.config)
        | {f"{found.decisive} before training": f"{found.before[found.decisive]:.4f}"},
        dev=found.best,
        test={},
        seconds=found.seconds,
        hardware=f"{host['processor']}, {host['cores']} cores",
        precision=job.config.precision,
        versions=told["versions"],
        commit=told["commit"],
    )
    page = card.facts_of(
        opened.model,
        opened.tokenizer.mask_token,
        sentence=opened.sentence.config,
        tuning=facts,
        origin=Origin(training=card.training_in(job.folder / START)),
    )
    card.write(page, folder)


def _files(job: Job) -> tuple[PartRow, ...]:
    config = job.config
    measured = job.measured
    is_set = isinstance(measured, JudgedSet)
    size = len(measured.queries) if isinstance(measured, JudgedSet) else len(measured.pairs)
    name = config.evaluate if is_set else config.dev or config.pairs
    return (
        PartRow("train", short(config.pairs), len(job.learned.pairs)),
        PartRow("dev", short(name), size),
    )


def _settings(config: RetrieverConfig) -> dict[str, str]:
    usual = RetrieverConfig()
    changed = [name for name in _UNUSUAL if getattr(config, name) != getattr(usual, name)]
    values = {name: getattr(config, name) for name in (*_SETTINGS, *changed)}
    return {
        name.replace("_", " "): f"{value:g}" if isinstance(value, float) else f"{value}"
        for name, value in values.items()
    }
