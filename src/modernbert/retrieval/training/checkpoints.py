"""A run's folder in, its newest whole checkpoint out."""

from pathlib import Path

from modernbert.base import files
from modernbert.train.checkpoint import FORMAT, read_record

PLACE, _NAME, _MARK = "checkpoints", "checkpoint-{}", "whole.json"


def mark_whole(folder: Path, step: int) -> None:
    """Say that everything of a checkpoint is written."""
    place = folder / PLACE / _NAME.format(step)
    files.write_json(place / _MARK, {"format": FORMAT, "step": step})


def newest(folder: Path) -> tuple[Path, int] | None:
    """Return the newest whole checkpoint and its step, None where there is none; others go.

    Raises:
        CheckpointError: a mark is broken, or of another format.
    """
    whole = {}
    for place in (folder / PLACE).glob(_NAME.format("*")):
        if not (place / _MARK).is_file():
            files.remove_folder(place)
            continue
        whole[int(read_record(place / _MARK)["step"])] = place
    return (whole[max(whole)], max(whole)) if whole else None
