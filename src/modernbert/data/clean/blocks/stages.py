"""A job in, the stages of datatrove that do it out: each some tasks through one pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.decont.n_grams import NGramsDecontFilter
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
from datatrove.pipeline.dedup.exact_dedup import (
    ExactDedupFilter,
    ExactDedupSignature,
    ExactFindDedups,
)

from modernbert.data.clean.blocks import copies
from modernbert.data.clean.blocks.filters import MAKERS
from modernbert.data.clean.blocks.index import config_of
from modernbert.data.clean.blocks.language import Language
from modernbert.data.clean.blocks.steps import READ as READ_STEP
from modernbert.data.clean.blocks.steps import (
    Dropped,
    Line,
    Passed,
    Read,
    Write,
    as_kept,
    as_written,
    kept,
)
from modernbert.data.clean.blocks.words import WORDS
from modernbert.data.clean.folders import Folders
from modernbert.data.clean.plan import Job
from modernbert.data.clean.tally import Tally

_BUFFERED = 1000
"""Signatures of a file that are read at once."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Tasks that can be done side by side, once those of the stage before are done."""

    name: str
    num_tasks: int
    line: Line


def stages_of(job: Job, folders: Folders) -> list[Stage]:
    """Return what has to be done, in order."""
    options, many = job.plan.options, len(job.tasks)
    found = [Stage("filter", many, _filtering(job, folders))]
    if options.finds("exact"):
        found += _exact(job, folders)
    if options.finds("minhash"):
        found += _near(job, folders)
    return [*found, Stage("write", many, _writing(job, folders))]


def _line(steps: Sequence[PipelineStep], stage: str, folders: Folders) -> Line:
    return Line(steps, steps, frozenset(), Tally(0), folders.tallies(stage))


def _filtering(job: Job, folders: Folders) -> Line:
    options, tally = job.plan.options, Tally(job.plan.options.samples)
    prose: list[tuple[str, PipelineStep]] = []
    if options.language:
        dropped = Dropped("language", tally)
        prose.append(("language", Language(options.language, options.language_threshold, dropped)))
    prose += [
        (name, MAKERS[name](options, Dropped(name, tally))) for name in options.chosen_filters()
    ]
    both: list[tuple[str, PipelineStep]] = []
    if job.plan.evaluations:
        name = "decontaminate"
        decontaminate = NGramsDecontFilter(
            str(folders.index), config_of(options.ngram), Dropped(name, tally), language=WORDS
        )
        both.append((name, decontaminate))
    read = (READ_STEP, Read(job.tasks, options, tally))
    write = Write(folders.kept, as_kept, skips=False)
    code_ranks = frozenset(rank for rank, task in enumerate(job.tasks) if task.is_code)
    return Line(
        [*_counted([read, *prose, *both], tally), write],
        [*_counted([read, *both], tally), write],
        code_ranks,
        tally,
        folders.tallies("filter"),
    )


def _counted(steps: Sequence[tuple[str, PipelineStep]], tally: Tally) -> list[PipelineStep]:
    return [each for name, step in steps for each in (step, Passed(name, tally))]


def _exact(job: Job, folders: Folders) -> list[Stage]:
    config, many = copies.exact_config(), len(job.tasks)
    hashes, found = folders.exact / "hashes", folders.exact / "found"
    sign = [kept(folders.kept_texts), copies.Ranked(), ExactDedupSignature(str(hashes), config)]
    find = [ExactFindDedups(str(hashes), str(found), config, lines_to_buffer=_BUFFERED)]
    return [
        Stage("exact-hashes", many, _line(sign, "exact-hashes", folders)),
        Stage("exact-copies", 1, _line(find, "exact-copies", folders)),
    ]


def _without_exact(job: Job, folders: Folders, dropped: Dropped | None) -> list[PipelineStep]:
    if not job.plan.options.finds("exact"):
        return []
    return [ExactDedupFilter(str(folders.exact / "found"), copies.exact_config(), dropped)]


def _near(job: Job, folders: Folders) -> list[Stage]:
    config = copies.minhash_config(job.plan.options.minhash)
    hashes, pairs, groups = (folders.near / name for name in ("hashes", "pairs", "groups"))
    sign = [
        kept(folders.kept_texts),
        *_without_exact(job, folders, None),
        copies.Named(folders.names),
        copies.Signature(str(hashes), config, language=WORDS),
    ]
    match = MinhashDedupBuckets(str(hashes), str(pairs), config=config, lines_to_buffer=_BUFFERED)
    group = [
        MinhashDedupCluster(
            str(pairs), str(groups), config, save_cluster_id=True, lines_to_buffer=_BUFFERED
        ),
        copies.KeepFirst(groups, folders.near_found),
    ]
    return [
        Stage("near-hashes", len(job.tasks), _line(sign, "near-hashes", folders)),
        Stage("near-pairs", config.num_buckets, _line([match], "near-pairs", folders)),
        Stage("near-groups", 1, _line(group, "near-groups", folders)),
    ]


def _writing(job: Job, folders: Folders) -> Line:
    tally = Tally(job.plan.options.samples)
    steps: list[PipelineStep] = [kept(folders.kept_texts)]
    if job.plan.options.finds("exact"):
        steps += _without_exact(job, folders, Dropped("exact", tally, "an exact copy"))
        steps.append(Passed("exact", tally))
    if job.plan.options.finds("minhash"):
        near = MinhashDedupFilter(
            str(folders.near_found), Dropped("minhash", tally, "a near copy"), load_cluster_ids=True
        )
        steps += [near, Passed("minhash", tally)]
    names = tuple(task.source for task in job.tasks)
    steps.append(Write(partial(_target, folders.written, names), as_written, skips=True))
    return Line(steps, steps, frozenset(), tally, folders.tallies("write"))


def _target(folder: Path, sources: tuple[str, ...], rank: int) -> Path:
    return folder / sources[rank] / f"{rank:05d}.jsonl.gz"
