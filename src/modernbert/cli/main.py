"""The command line's rim: a verb and its options in, an exit status out.

Errors of the user are one sentence and status 2; Ctrl-C is 130; `--debug` shows the traceback.
"""

import os
import sys
from collections.abc import Sequence

import tyro

from modernbert import __version__
from modernbert.base.errors import UserError
from modernbert.cli import verbs
from modernbert.cli.pretrain import pretrain

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit."""
    _wait_briefly()
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    sys.exit(_guarded([each for each in given if each != "--debug"], debug))


def _wait_briefly() -> None:
    """Let threads that wait for each other give up their core soon.

    By default they spin, and starve whoever shares their cores: beside one other busy process
    on two cores, training ran at a seventh of its speed (lab/LOG.md). OpenMP reads this when
    torch is first imported, which has not happened yet.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def _guarded(given: list[str], debug: bool) -> int:
    try:
        return run(given)
    except UserError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if debug:
            raise
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run(given: list[str]) -> int:
    """Run a command and return its exit status."""
    if given == ["--version"]:
        print(f"modernbert {__version__}")
        return 0
    if given[:1] == ["pretrain"]:
        # Its options depend on the recipe, so it makes its own parser.
        return pretrain(given[1:])
    return int(
        tyro.extras.subcommand_cli_from_dict(
            {
                "train-tokenizer": verbs.train_tokenizer,
                "prepare": verbs.prepare,
                "pretrain": verbs.pretrain_help,
                "report": verbs.report,
                "fill": verbs.fill,
                "doctor": verbs.doctor,
                "demo": verbs.demo,
                "bench": verbs.bench,
            },
            prog="modernbert",
            description="From raw text to a trained encoder.",
            args=given or ["--help"],
        )
        or 0
    )
