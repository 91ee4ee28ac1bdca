"""Sources of text in, folders of the texts worth learning from and a report of the rest out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

from modernbert.base.errors import DataError, MachineError
from modernbert.base.files import make_folder, remove_folder, whole_file, write_json
from modernbert.base.lock import LOCK, alone
from modernbert.data.clean import report as reports
from modernbert.data.clean.evaluations import examples_of
from modernbert.data.clean.folders import Folders
from modernbert.data.clean.options import CleanOptions, RunOptions, check
from modernbert.data.clean.plan import (
    PLAN,
    WORK,
    Job,
    changed_options,
    changed_texts,
    planned,
    read_job,
    refuse_other,
    write_job,
)
from modernbert.data.clean.report import EvaluationReport, Found, Report
from modernbert.data.clean.running import Counts, is_done, num_done, run_stages

FOUND = "contaminated.jsonl"
_SUBMITTED = "submitted.json"

Paths = Mapping[str, Sequence[Path]]


def clean(
    sources: Paths,
    evaluations: Paths,
    out: Path,
    options: CleanOptions,
    run: RunOptions,
    *,
    say: Callable[[str], None] = print,
) -> Report | None:
    """Drop what nothing can be learned from; return the report, None where jobs are to do it yet.

    Repeated after it was stopped, it goes on: tasks that are done stay done. The same input gives
    the same bytes for any number of workers. A finished folder is left as it is.

    Raises:
        ConfigError: an option or a name cannot be meant.
        DataError: texts cannot be read, a source or an evaluation set holds none, or `out` holds
            something else.
        MachineError: datatrove is missing, or there is no room.
    """
    check(options, run, list(sources))
    _check_installed(options)
    job = planned(sources, evaluations, options)
    make_folder(out)
    with alone(out, "cleaned"):
        done = _claimed(out, job, say)
        if done is not None:
            return done
        work = out / WORK
        _index(job, work, evaluations)
        if not _worked(work, run, stage_counts(job), say):
            return None
        return _finished(out, job)


def _check_installed(options: CleanOptions) -> None:
    try:
        from modernbert.data.clean.blocks.language import check_languages
    except ImportError as error:
        raise MachineError(
            f"cleaning text needs {error.name}: pip install 'modernbert[clean]'"
        ) from error
    check_languages(options.language)


def stage_counts(job: Job) -> Counts:
    """Return the stages that a job goes through, and the tasks of each."""
    options, many = job.plan.options, len(job.tasks)
    exact = [("exact-hashes", many), ("exact-copies", 1)] if options.finds("exact") else []
    near = [("near-hashes", many), ("near-pairs", options.minhash.buckets), ("near-groups", 1)]
    return [
        ("filter", many),
        *exact,
        *(near if options.finds("minhash") else []),
        ("write", many),
    ]


def _claimed(out: Path, job: Job, say: Callable[[str], None]) -> Report | None:
    """Make a folder this job's; return the report if it is done already.

    Work on texts that are no longer the same, as when a broken line was mended, begins anew.
    """
    work = out / WORK
    if (out / reports.NAME).is_file():
        before = reports.read_report(out)
        refuse_other(out, before.plan, job.plan)
        rmtree(work, ignore_errors=True)
        return before
    if (work / PLAN).is_file():
        plan = read_job(work).plan
        if changed_options(plan, job.plan):
            refuse_other(out, plan, job.plan)
        if changed := changed_texts(plan, job.plan):
            say(f"unfinished work on other texts ({', '.join(changed)} changed) begins anew")
            rmtree(work)
    elif any(each.name not in (LOCK, WORK) for each in out.iterdir()):
        raise DataError(f"{out} holds files that are no clean text: give a new or empty folder")
    make_folder(work)
    write_job(work, job)
    return None


def _index(job: Job, work: Path, evaluations: Paths) -> None:
    """Write which runs of words are in the evaluation sets."""
    if not evaluations:
        return
    from modernbert.data.clean.blocks.index import is_indexed, write_index

    options = job.plan.options
    for name, paths in evaluations.items():
        if not is_indexed(Folders(work).index, name):
            examples = examples_of(name, paths, options.columns)
            write_index(Folders(work).index, name, examples, options.ngram)


def _worked(work: Path, run: RunOptions, counts: Counts, say: Callable[[str], None]) -> bool:
    """Do all stages, or see to it that others do; return whether they are done."""
    if is_done(work, counts):
        return True
    submitted = work / _SUBMITTED
    if run.executor == "slurm" and submitted.is_file() and not run.slurm.again:
        done, total = sum(num_done(work, stage) for stage, _ in counts), sum(n for _, n in counts)
        say(
            f"{done} of {total} tasks are done: repeat the command when the jobs have ended, or "
            "with --slurm.again if they ended without having done all"
        )
        return False
    scripts = run_stages(work, run, counts)
    if run.executor != "slurm":
        return True
    if run.slurm.dry_run:
        say(f"{len(scripts)} scripts were written, and none was submitted: {scripts[0]}, ...")
        return False
    write_json(submitted, [str(path) for path in scripts])
    say(f"{len(scripts)} jobs are submitted: repeat the command when they have ended")
    return False


def _finished(out: Path, job: Job) -> Report:
    """Put the result in its place; the report comes last and says that all is there."""
    work = out / WORK
    report, found = _reported(job, work)
    for source in report.sources:
        if source.steps[0].documents == source.steps[0].dropped_documents:
            rmtree(work)
            raise DataError(
                f"the source {source.name!r} holds no document with text: leave it out, or see "
                "what is in its files"
            )
        written = Folders(work).written / source.name
        if written.is_dir():
            remove_folder(out / source.name)
            written.replace(out / source.name)
    if job.plan.evaluations:
        with whole_file(out / FOUND) as aside:
            aside.write_text(reports.spelled(found), encoding="utf-8")
    reports.write_report(out, report)
    rmtree(work, ignore_errors=True)
    return report


def _reported(job: Job, work: Path) -> tuple[Report, list[Found]]:
    hits = reports.hits_of(job, work)
    if not job.plan.evaluations:
        return reports.report_of(job, work, {}), []
    from modernbert.data.clean.blocks.index import indexed, sources_of

    index = Folders(work).index
    wanted: dict[str, list[str]] = {each.name: [] for each in job.plan.evaluations}
    for _, hit in hits:
        wanted[hit.evaluation].append(hit.ngram)
    examples = sources_of(index, job.plan.options.ngram, wanted)
    found = [Found(source, hit, examples[hit.ngram]) for source, hit in hits]
    sets = []
    for each in job.plan.evaluations:
        of_it = [one for one in found if one.hit.evaluation == each.name]
        what = indexed(index, each.name)
        different = len({one.example for one in of_it})
        sets.append(EvaluationReport(each.name, what.texts, what.too_short, different, len(of_it)))
    report = reports.report_of(job, work, examples)
    return replace(report, evaluations=tuple(sets)), found
