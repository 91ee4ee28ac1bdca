"""The errors a user can cause: each message names the value, the limit and the way out.

Programmer errors are plain asserts. The command line prints a `UserError` as one sentence and
exits with status 2; anything else is a fault of this package and shows its traceback.
"""


class UserError(Exception):
    """Something the user gave cannot be used as it is."""


class ConfigError(UserError):
    """A configuration names something that does not exist, or contradicts itself."""


class DataError(UserError):
    """A text, corpus, shard or batch breaks the format's promise."""


class CheckpointError(UserError):
    """A model folder or a run folder cannot be read, or belongs to something else."""


class MachineError(UserError):
    """The machine lacks what was asked of it: a package, a device, disk space."""


class TrainingError(UserError):
    """A run cannot go on: its numbers stopped being finite."""


class NumbersError(UserError):
    """A model gives what is no number: NaN, Inf, or a vector of nothing but zeros."""


_REASON_LENGTH = 200


def reason_of(error: BaseException | None) -> str:
    """Return what a library said of a file, on one line, without much of the file itself."""
    said = (error.strerror or "") if isinstance(error, OSError) else ""
    said = said or " ".join(str(error).split())
    return said if len(said) <= _REASON_LENGTH else f"{said[:_REASON_LENGTH]} [...]"
