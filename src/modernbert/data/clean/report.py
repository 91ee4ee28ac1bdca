"""The counts of all tasks in, what was dropped of each source and why out: report.json."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modernbert.base.files import read_json, write_json
from modernbert.base.records import from_plain, to_plain
from modernbert.data.clean.folders import Folders
from modernbert.data.clean.plan import FORMAT, CleanPlan, Job
from modernbert.data.clean.tally import Amount, Hit, Loss, Sample, Step, Tally, chosen

NAME = "report.json"


@dataclass(frozen=True, slots=True)
class Reason:
    """What a step dropped of a source for one reason."""

    reason: str
    documents: int
    characters: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step did to a source."""

    name: str
    documents: int
    """Documents that came to it."""
    characters: int
    dropped_documents: int
    dropped_characters: int
    cut_characters: int
    """Characters that it took out of documents that it kept."""
    reasons: tuple[Reason, ...]
    """Most documents first."""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What became of a source."""

    name: str
    is_code: bool
    documents: int
    characters: int
    kept_documents: int
    kept_characters: int
    repaired: int
    """Documents with bytes or characters that are not Unicode, replaced by U+FFFD."""
    skipped_files: int
    """Binary files passed over in folders."""
    steps: tuple[StepReport, ...]


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What was found of an evaluation set."""

    name: str
    texts: int
    too_short: int
    """Texts with too few words to be found."""
    found_examples: int
    """Different examples that dropped documents are said to hold; each document is said to hold
    one."""
    dropped_documents: int


@dataclass(frozen=True, slots=True)
class Report:
    """What was dropped, and why."""

    plan: CleanPlan
    sources: tuple[SourceReport, ...]
    evaluations: tuple[EvaluationReport, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A dropped document, and the example that it holds words of."""

    source: str
    hit: Hit
    example: str


def read_tallies(folder: Path, job: Job) -> dict[str, list[Tally]]:
    """Read the counts of a stage's tasks, by source, in the order of the tasks."""
    found: dict[str, list[Tally]] = {source.name: [] for source in job.plan.sources}
    for rank, task in enumerate(job.tasks):
        value = read_json(folder / f"tally-{rank:05d}.json")
        found[task.source].append(from_plain(Tally, value))
    return found


def report_of(job: Job, work: Path, examples: Mapping[str, str]) -> Report:
    """Add up the counts of all tasks; `examples` says where runs of words stand in their sets."""
    folders = Folders(work)
    before, after = (read_tallies(folders.tallies(stage), job) for stage in ("filter", "write"))
    most = job.plan.options.samples
    sources = []
    for source in job.plan.sources:
        tallies = [*before[source.name], *after[source.name]]
        steps = _added(tallies, most)
        steps = {name: _noted(step, examples, folders) for name, step in steps.items()}
        reports = tuple(_steps(steps))
        read, last = reports[0], reports[-1]
        sources.append(
            SourceReport(
                source.name,
                source.is_code,
                read.documents,
                read.characters,
                last.documents - last.dropped_documents,
                last.characters - last.dropped_characters - last.cut_characters,
                sum(tally.repaired for tally in tallies),
                source.skipped_files,
                reports,
            )
        )
    return Report(job.plan, tuple(sources), ())


def hits_of(job: Job, work: Path) -> list[tuple[str, Hit]]:
    """Return each source and document that holds words of an evaluation set."""
    tallies = read_tallies(Folders(work).tallies("filter"), job)
    return [(name, hit) for name, many in tallies.items() for each in many for hit in each.hits]


def write_report(folder: Path, report: Report) -> None:
    """Write report.json, whole or not at all."""
    write_json(folder / NAME, {"format": FORMAT, **to_plain(report)})


def read_report(folder: Path) -> Report:
    """Read report.json."""
    value = read_json(folder / NAME)
    return from_plain(Report, {name: part for name, part in value.items() if name != "format"})


def spelled(found: Iterable[Found]) -> str:
    """Return a line for each document that holds words of an evaluation set."""
    lines = (
        {
            "source": each.source,
            "document": each.hit.document,
            "evaluation": each.hit.evaluation,
            "example": each.example,
            "words": each.hit.ngram,
        }
        for each in found
    )
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def _added(tallies: Sequence[Tally], most: int) -> dict[str, Step]:
    total: dict[str, Step] = {}
    for tally in tallies:
        for name, step in tally.steps.items():
            into = total.setdefault(name, Step())
            into.passed.add(step.passed.documents, step.passed.characters)
            for reason, loss in step.losses.items():
                so_far = into.losses.setdefault(reason, Loss())
                so_far.documents += loss.documents
                so_far.characters += loss.characters
                so_far.samples = chosen([*so_far.samples, *loss.samples], most)
    return total


def _noted(step: Step, examples: Mapping[str, str], folders: Folders) -> Step:
    """Say in samples what only all tasks together know."""
    for reason, loss in step.losses.items():
        notes = [_note(reason, each.note, examples, folders) for each in loss.samples]
        pairs = zip(loss.samples, notes, strict=True)
        loss.samples = [Sample(each.document, each.text, note) for each, note in pairs]
    return step


def _note(reason: str, note: str, examples: Mapping[str, str], folders: Folders) -> str:
    if note in examples:
        return f"{examples[note]}: {note}"
    if reason != "a near copy":
        return note
    rank, number = read_json(folders.near_found / "firsts.json")[int(note)]
    names = read_json(folders.names / f"names-{rank:05d}.json")
    return f"like {names[number]}"


def _steps(steps: Mapping[str, Step]) -> Iterator[StepReport]:
    came: Amount | None = None
    for name, step in steps.items():
        losses = step.losses
        dropped = sum(loss.documents for loss in losses.values())
        characters = sum(loss.characters for loss in losses.values())
        if came is None:  # the first one reads
            came = Amount(step.passed.documents + dropped, step.passed.characters + characters)
        reasons = (
            Reason(reason, loss.documents, loss.characters, tuple(loss.samples))
            for reason, loss in losses.items()
        )
        cut = came.characters - characters - step.passed.characters
        ordered = tuple(sorted(reasons, key=lambda each: (-each.documents, each.reason)))
        yield StepReport(name, came.documents, came.characters, dropped, characters, cut, ordered)
        came = step.passed
