"""The command line's rim: a verb and its options in, an exit status out.

Errors of the user are one sentence and status 2; Ctrl-C is 130; `--debug` shows the traceback.
"""

import errno
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from modernbert import __version__
from modernbert.base.errors import UserError

_INTERRUPTED = 130
_TERMINATED = 143
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit."""
    _wait_briefly()
    for stream in (sys.stdout, sys.stderr):
        # What a terminal cannot show is escaped, not an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    with _tidy_when_terminated(), _plain_warnings():
        status = _guarded([each for each in given if each != "--debug"], debug)
    sys.exit(status)


def _wait_briefly() -> None:
    """Let threads that wait for each other give up their core soon.

    By default they spin, and starve whoever shares their cores: beside one other busy process
    on two cores, training ran at a seventh of its speed (lab/LOG.md). OpenMP reads this when
    torch is first imported, which has not happened yet.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


@contextmanager
def _tidy_when_terminated() -> Iterator[None]:
    """Leave by every `with` when the process is told to end, as after Ctrl-C."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print a warning as errors are printed, without the line of code it came from."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def _guarded(given: list[str], debug: bool) -> int:
    try:
        status = run(given)
        sys.stdout.flush()
        return status
    except UserError as error:
        if debug:
            raise
        # A path can hold the end of a line.
        print("error:", *str(error).splitlines(), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if debug:
            raise
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        _silence()
        return 0
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG and not debug:
            print("error: a path is longer than this system takes: shorten it", file=sys.stderr)
            return 2
        if debug or error.errno not in _FULL or error.filename:
            raise
        print(f"error: what was asked for cannot be printed: {error.strerror}", file=sys.stderr)
        _silence()
        return 2


def _silence() -> None:
    """Keep Python from printing at its end what could not be printed before."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(given: list[str]) -> int:
    """Run a command and return its exit status."""
    if given == ["--version"]:
        print(f"modernbert {__version__}")
        return 0
    # Imported here, so that Ctrl-C while they are is answered as at any other time.
    import tyro

    from modernbert.cli.commands import COMMANDS, OWN_PARSERS

    if given[:1] and given[0] in OWN_PARSERS:
        # Its options depend on the word that follows.
        return OWN_PARSERS[given[0]](given[1:])
    return int(
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="modernbert",
            description="From raw text to a trained encoder.",
            args=given or ["--help"],
        )
        or 0
    )
