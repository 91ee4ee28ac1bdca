"""What came of a fine-tuning: OUT/summary.json, out and in."""

from dataclasses import dataclass
from pathlib import Path

from modernbert.base import files
from modernbert.base.records import from_plain, to_plain
from modernbert.train.checkpoint import FORMAT, read_record

NAME = "summary.json"


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a fine-tuning; a folder that has one is finished."""

    decisive: str
    """Which measure made the model the best."""
    step: int
    """Step of the best model."""
    epoch: float
    """Epochs that the best model has seen."""
    dev: dict[str, float]
    """Measures of the best model on the examples of --dev."""
    test: dict[str, float]
    """The same on those of --test; empty without."""
    steps: int
    """Steps that were taken in all."""
    tokens: int
    """Tokens that were learned from, each as often as it was seen."""
    seconds: float
    """Time in steps, evaluations left out."""
    peak_bytes: int
    """Most memory the device or, on a CPU, the process held; 0 where nobody says."""
    dev_examples: int
    test_examples: int

    @property
    def tokens_per_second(self) -> float:
        """Tokens that a second of training took in."""
        return self.tokens / self.seconds if self.seconds else 0.0


def write_summary(summary: Summary, folder: Path) -> None:
    """Write what came of a run, which says that it is finished.

    Raises:
        MachineError: the folder cannot be written.
    """
    files.write_json(folder / NAME, {"format": FORMAT, **to_plain(summary)})


def read_summary(folder: Path) -> Summary | None:
    """Return what came of a run; None while it is not over.

    Raises:
        CheckpointError: the record is broken, or of another format.
        ConfigError: it has other keys.
    """
    path = folder / NAME
    if not path.exists():
        return None
    told = {key: value for key, value in read_record(path).items() if key != "format"}
    return from_plain(Summary, told, str(path))
