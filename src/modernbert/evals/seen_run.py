"""A run folder in, what it holds out: read while the run goes on, or long after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modernbert.base.errors import CheckpointError, ConfigError, MachineError, reason_of
from modernbert.base.files import digest_of
from modernbert.base.records import to_plain
from modernbert.train.description import config_of, read_description
from modernbert.train.events import EVENTS
from modernbert.train.rows import EVALUATIONS, METRICS, steps_in

_TOKENIZER = "tokenizer.json"
_NEEDED = {
    METRICS: ("tokens", "phase", "loss", "batch_tokens", "seconds"),
    EVALUATIONS: ("tokens", "source", "loss", "masked_accuracy"),
    EVENTS: ("tokens", "kind"),
}
"""A row without these was not written by a run; others may be missing in those of old versions."""


@dataclass(frozen=True, slots=True)
class SeenRun:
    """One run, as far as it has come."""

    name: str
    folder: Path
    description: dict[str, Any]
    """Its `run.json`."""
    config: dict[str, Any]
    """The configuration, with what versions after it decide by default."""
    rows: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    events: list[dict[str, Any]]
    tokenizer: str
    """Digest of its tokenizer; empty where no checkpoint and no model is left."""

    @property
    def planned(self) -> list[tuple[str, int]]:
        """Return the phases' names and tokens."""
        return [(str(each["name"]), int(each["tokens"])) for each in self.config["phases"]]

    @property
    def hours(self) -> list[float]:
        """Return the time of all steps up to each one; what passed between them is left out."""
        total, out = 0.0, []
        for row in self.rows:
            total += row["seconds"] / 3600
            out.append(total)
        return out

    def column(self, name: str) -> list[float]:
        """Return a number of each row; NaN where an old version did not write it."""
        return [float(row.get(name, "nan")) for row in self.rows]


def see(folder: Path, name: str = "") -> SeenRun:
    """Read a run.

    Raises:
        CheckpointError: the folder holds no run, or one of another kind.
        MachineError: its files cannot be read.
    """
    try:
        return _seen(folder, name or folder.resolve().name)
    except OSError as error:
        raise MachineError(f"{folder} cannot be read: {reason_of(error)}") from error


def see_all(folders: Sequence[Path]) -> list[SeenRun]:
    """Read runs, and give them names that differ.

    Raises:
        CheckpointError: a folder holds no run.
        MachineError: its files cannot be read.
    """
    return [see(folder, name) for folder, name in zip(folders, names(folders), strict=True)]


def names(folders: Sequence[Path]) -> list[str]:
    """Return the ends of paths, as long as it takes to tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    longest = max(map(len, parts), default=1)
    for length in range(1, longest + 1):
        found = ["/".join(each[-length:]) for each in parts]
        if len(set(found)) == len({*parts}):
            break
    return found if parts else []


def _seen(folder: Path, name: str) -> SeenRun:
    description = read_description(folder)
    config = description.get("config")
    if not isinstance(config, dict) or "phases" not in config:
        raise CheckpointError(
            f"{folder} holds a run of another command than `modernbert pretrain`: "
            "only those have a report"
        )
    return SeenRun(
        name=name,
        folder=folder,
        description=description,
        config=_filled(folder, config),
        rows=_rows(folder, METRICS),
        evaluations=_rows(folder, EVALUATIONS),
        events=_rows(folder, EVENTS),
        tokenizer=_tokenizer(folder),
    )


def _rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return [row for row in steps_in(folder / name) if all(key in row for key in _NEEDED[name])]


def _filled(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    try:
        filled = to_plain(config_of(folder))
    except ConfigError:
        # Of another version: what it says is shown as it stands.
        return config
    return {**filled, "corpus": config["corpus"]}


def _tokenizer(folder: Path) -> str:
    places = [folder / "model", *sorted((folder / "checkpoints").glob("step-*"))]
    found = (place / _TOKENIZER for place in places if (place / _TOKENIZER).is_file())
    first = next(found, None)
    return digest_of(first) if first else ""
