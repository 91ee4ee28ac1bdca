"""JSON files of settings that others wrote: a path in, values of the expected types out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from modernbert.base.errors import CheckpointError
from modernbert.model.stored import read_object

T = TypeVar("T", str, int, bool)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a file says; the path is for messages."""

    path: Path
    content: dict[str, Any]

    @classmethod
    def of(cls, path: Path) -> "Settings":
        """Read a file; one that is not there says nothing.

        Raises:
            CheckpointError: it is broken.
        """
        return cls(path, read_object(path) if path.exists() else {})

    def get(self, key: str, kind: type[T]) -> T | None:
        """Return a value, None where it is null or missing.

        Raises:
            CheckpointError: it is of another type.
        """
        value = self.content.get(key)
        if value is not None and type(value) is not kind:
            raise self.fault(key, f"not of type {kind.__name__}")
        return value

    def words(self, key: str) -> tuple[str, ...] | None:
        """Return a list of texts; one text counts as a list of one."""
        value = self.content.get(key)
        listed = [value] if isinstance(value, str) else value
        if listed is None:
            return None
        if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
            raise self.fault(key, "not a list of texts")
        return tuple(listed)

    def within(self, key: str) -> "Settings":
        """Return the settings that a key holds; none where it is null or missing."""
        value = self.content.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.fault(key, "not a table of keys")
        return Settings(self.path, value or {})

    def fault(self, key: str, what: str) -> CheckpointError:
        """Say what is wrong with a value."""
        return CheckpointError(f"{self.path} has {key} {self.content.get(key)!r}: it is {what}")
