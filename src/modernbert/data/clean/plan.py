"""Sources, evaluation sets and options in, all that decides what is written out, on disk too."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modernbert.base.errors import ConfigError, DataError
from modernbert.base.files import digest, digest_of, read_json, write_json
from modernbert.base.records import from_plain, to_plain
from modernbert.data.clean.options import CleanOptions
from modernbert.data.documents import find

FORMAT = 1
WORK = ".work"
PLAN = "plan.json"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MOST_TASKS = 50_000
"""datatrove numbers what is to be kept first with 16 bits."""


@dataclass(frozen=True, slots=True)
class Source:
    """Texts under one name."""

    name: str
    is_code: bool
    fingerprint: str
    """Name of its files and their contents."""
    skipped_files: int
    """Binary files passed over in folders."""


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Texts that nothing may be learned from."""

    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class CleanPlan:
    """Everything that decides what is written."""

    options: CleanOptions
    sources: tuple[Source, ...]
    """In the order in which they keep their copies."""
    evaluations: tuple[EvaluationSet, ...]


@dataclass(frozen=True, slots=True)
class Portion:
    """Files of one source that one worker reads."""

    source: str
    is_code: bool
    files: tuple[tuple[str, str], ...]
    """Path and name of each."""


@dataclass(frozen=True, slots=True)
class Job:
    """A plan and the tasks it comes to, as workers find it on disk."""

    plan: CleanPlan
    tasks: tuple[Portion, ...]
    evaluation_paths: tuple[str, ...]


def planned(
    sources: Mapping[str, Sequence[Path]],
    evaluations: Mapping[str, Sequence[Path]],
    options: CleanOptions,
) -> Job:
    """Look at every file once, and cut the work into tasks.

    Raises:
        ConfigError: a name is no folder's name.
        DataError: a path does not exist, or there is nothing to read.
    """
    for name in (*sources, *evaluations):
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"a source cannot be called {name!r}: use ASCII letters, digits, dots, _ and -, "
                "and name a path with NAME=PATH"
            )
    found = {name: find(paths) for name, paths in sources.items()}
    described = tuple(
        Source(name, name in options.code, files.fingerprint, len(files.skipped))
        for name, files in found.items()
    )
    total = sum(files.size_bytes for files in found.values())
    limit = max(options.task_bytes, total // (_MOST_TASKS // 2))
    tasks = tuple(
        Portion(source.name, source.is_code, group)
        for source in described
        for group in _groups(found[source.name].files, limit)
    )
    sets = tuple(EvaluationSet(name, _fingerprint(paths)) for name, paths in evaluations.items())
    paths = tuple(str(path.resolve()) for each in evaluations.values() for path in each)
    return Job(CleanPlan(options, described, sets), tasks, paths)


def _groups(files: Sequence[tuple[Path, str]], limit: int) -> list[tuple[tuple[str, str], ...]]:
    groups: list[list[tuple[str, str]]] = []
    room = 0
    for path, name in files:
        size = path.stat().st_size
        if not groups or size > room:
            groups.append([])
            room = limit
        groups[-1].append((str(path.resolve()), name))
        room -= size
    return [tuple(group) for group in groups]


def _fingerprint(paths: Sequence[Path]) -> str:
    parts = [digest_of(path) if path.is_file() else find([path]).fingerprint for path in paths]
    return digest("\x1e".join(parts).encode())


def write_job(work: Path, job: Job) -> None:
    """Put the job where workers find it."""
    write_json(work / PLAN, {"format": FORMAT, "job": to_plain(job)})


def read_job(work: Path) -> Job:
    """Read the job that a folder was begun with."""
    return from_plain(Job, read_json(work / PLAN)["job"])


def refuse_other(out: Path, before: CleanPlan, after: CleanPlan) -> None:
    """Let only the same plan go on in a folder.

    Raises:
        DataError: something else is asked for than what the folder holds.
    """
    if changed := [*changed_options(before, after), *changed_texts(before, after)]:
        raise DataError(
            f"{out} holds clean text made from other things ({', '.join(changed)} changed): "
            "remove it, or give another folder"
        )


def changed_options(before: CleanPlan, after: CleanPlan) -> list[str]:
    """Name the options in which two plans differ."""
    old, new = to_plain(before.options), to_plain(after.options)
    return [f"the option {name}" for name in new if old[name] != new[name]]


def changed_texts(before: CleanPlan, after: CleanPlan) -> list[str]:
    """Name the sources and evaluation sets in which two plans differ."""
    found = []
    for what, kinds in (
        ("the source", (before.sources, after.sources)),
        ("the evaluation set", (before.evaluations, after.evaluations)),
    ):
        old, new = ({each.name: each.fingerprint for each in kind} for kind in kinds)
        names = sorted(old.keys() | new.keys())
        found += [f"{what} {name!r}" for name in names if old.get(name) != new.get(name)]
    orders = [[source.name for source in plan.sources] for plan in (before, after)]
    return found or (["the order of the sources"] if orders[0] != orders[1] else [])
