"""`modernbert report`: folders of runs in, a page or a summary for a program out."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from modernbert.base.errors import ConfigError
from modernbert.base.log import say

if TYPE_CHECKING:
    from modernbert.evals.seen_run import SeenRun

Runs = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]

_PAGE, _OF_SEVERAL = "report.html", "runs.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """Where the report goes, and how often."""

    out: Path | None = None
    """Where the page goes; by default report.html in the run's folder, of several runs runs.html
    here."""
    watch: int = 0
    """Seconds after which the page is written again, until all runs have ended or Ctrl-C; an open
    page follows. 0 writes it once."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print the summary for a program; a page is written only if --out says where."""


def report(runs: Runs, /, *, options: Annotated[ReportOptions, tyro.conf.arg(name="")]) -> int:
    """Write a page of one run, or of several side by side: curves, tables. Works while they train.

    Args:
        runs: Folders of runs.
        options: Where the report goes, and how often.
    """
    if not runs:
        raise ConfigError("no run was given: name its folder, or several to compare them")
    runs = tuple(each.parent if each.name == "run.json" else each for each in runs)
    if options.watch < 0:
        raise ConfigError(f"watch is {options.watch}: give seconds, or 0 to write the page once")
    if options.as_json:
        return _printed(runs, options)
    target = options.out or (runs[0] / _PAGE if len(runs) == 1 else Path(_OF_SEVERAL))
    if options.watch:
        _followed(runs, target, options.watch)
    _written(runs, target)
    say(f"the report is in {target}")
    return 0


def _printed(runs: Sequence[Path], options: ReportOptions) -> int:
    from modernbert.base.records import to_plain
    from modernbert.evals.run_summary import compared
    from modernbert.evals.seen_run import see_all

    if options.watch:
        raise ConfigError("--json prints once: leave --watch out")
    print(json.dumps(to_plain(compared(see_all(runs))), ensure_ascii=False))
    if options.out:
        _written(runs, options.out)
    return 0


def _written(runs: Sequence[Path], target: Path) -> None:
    from modernbert.evals.report import examples_for, write_page
    from modernbert.evals.seen_run import see_all

    seen = see_all(runs)
    write_page(seen, target, examples_for(seen[0]) if len(seen) == 1 else ())


def _followed(runs: Sequence[Path], target: Path, seconds: int) -> None:
    """Write the page again and again, until the runs have ended."""
    from modernbert.evals.report import write_page
    from modernbert.evals.seen_run import see_all

    say(f"the report is in {target}, written anew every {seconds} s; Ctrl-C ends that")
    try:
        while not _have_ended(seen := see_all(runs)):
            write_page(seen, target, every_s=seconds)
            time.sleep(seconds)
    except KeyboardInterrupt:
        say("no longer watching; the runs go on")


def _have_ended(runs: "Sequence[SeenRun]") -> bool:
    from modernbert.evals.run_summary import has_ended

    return all(map(has_ended, runs))
