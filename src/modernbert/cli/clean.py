"""`modernbert clean SOURCE=PATH... --out DIR`: gathered text in, text worth learning from out."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from modernbert.base.errors import ConfigError
from modernbert.base.log import count, duration, say
from modernbert.cli.arguments import Paths
from modernbert.cli.verbs import named
from modernbert.data.clean.options import CleanOptions, RunOptions

if TYPE_CHECKING:
    from modernbert.data.clean.report import Report


def clean(
    paths: Paths,
    /,
    *,
    out: Path,
    decontaminate: tuple[str, ...] = (),
    options: Annotated[CleanOptions, tyro.conf.arg(name="")],
    run: Annotated[RunOptions, tyro.conf.arg(name="")],
) -> int:
    """Drop texts that nothing can be learned from: poor ones, copies, and those of test sets.

    Sources are named as for `modernbert prepare`, which reads the folders that are written. A
    report says what was dropped of each source and why, with samples. A command that was stopped
    is continued by the same command.

    Examples:
      modernbert clean books=texts notes=more.jsonl --out clean
      modernbert clean web=pages code=src --code code --language en --decontaminate scifact \
--out clean

    Args:
        paths: Text files, folders, .jsonl(.gz, .zst) or .parquet, as PATH or NAME=PATH; of copies
            the source named first keeps its own.
        out: Folder for the clean text and the report.
        decontaminate: Evaluation sets, as PATH or NAME=PATH: folders in BEIR's layout, .jsonl,
            .csv, .tsv, .parquet, .txt; texts that share words with one are dropped.
        options: What is dropped.
        run: Who does the work.
    """
    from modernbert.data.clean.clean import clean as work
    from modernbert.evals.clean_report import write_page

    if not paths:
        raise ConfigError("there is nothing to clean: name texts, as in books=texts")
    evaluations = named(decontaminate) if decontaminate else {}
    began = time.monotonic()
    report = work(named(paths), evaluations, out, options, run, say=say)
    if report is None:
        return 0
    write_page(out / "report.html", report)
    _told(report, out, time.monotonic() - began)
    return 0


def _told(report: "Report", out: Path, seconds: float) -> None:
    for source in report.sources:
        dropped = [(step.name, step.dropped_documents) for step in source.steps]
        reasons = ", ".join(f"{name} {number:,}" for name, number in dropped if number)
        say(
            f"{source.name}: {source.kept_documents:,} of {source.documents:,} documents are kept"
            + (f"; dropped by {reasons}" if reasons else "")
        )
    read = sum(source.characters for source in report.sources)
    kept = sum(source.kept_characters for source in report.sources)
    say(
        f"{count(kept)} of {count(read)} characters are in {out} (in {duration(seconds)}); "
        f"what was dropped and why is in {out / 'report.html'}"
    )
