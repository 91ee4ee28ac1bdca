"""A calibration in, a picture of how often a model was right when it was so sure out."""

from pathlib import Path

from modernbert.base import files
from modernbert.evals.chart import Series, picture
from modernbert.tasks.calibration import Honesty
from modernbert.train.calibrate import Calibration


def draw(found: Calibration, target: Path) -> None:
    """Write a reliability diagram as an SVG file.

    Raises:
        MachineError: it cannot be written.
    """
    series = [
        Series("as sure as right", [0.0, 1.0], [0.0, 1.0]),
        _dots("before", found.before),
        _dots(f"after, temperature {found.temperature:.3g}", found.after),
    ]
    title = f"How often {found.answers:,} answers on --dev were right"
    drawn = picture(title, series, across="mean probability of a bin", up="share that is right")
    with files.whole_file(target) as aside:
        aside.write_text(drawn, encoding="utf-8")


def _dots(name: str, measured: Honesty) -> Series:
    sure = [each.confidence for each in measured.bins]
    right = [each.accuracy for each in measured.bins]
    return Series(f"{name}: error {measured.calibration_error:.1%}", sure, right, is_dots=True)
