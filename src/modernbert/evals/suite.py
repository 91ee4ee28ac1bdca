"""What a suite is made of, as data: each task's files, columns, measures and usual settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modernbert.data.columns import Columns
from modernbert.train.summary import Summary
from modernbert.train.tune_config import width_factor
from modernbert.train.variants import Axis

BASE_DIM, LARGE_DIM = 768, 1024


@dataclass(frozen=True, slots=True)
class Values:
    """The numbers of a fine-tuning that are chosen for each task."""

    peak_lr: float
    weight_decay: float
    epochs: int

    def axes(self) -> list[Axis]:
        """Return them as options with one value each."""
        return [
            Axis("peak_lr", (self.peak_lr,)),
            Axis("weight_decay", (self.weight_decay,)),
            Axis("epochs", (self.epochs,)),
        ]


@dataclass(frozen=True, slots=True)
class Grid:
    """Values of which every combination is tried."""

    peak_lr: tuple[float, ...]
    weight_decay: tuple[float, ...]
    epochs: tuple[int, ...]

    def axes(self) -> list[Axis]:
        """Return them as options."""
        return [
            Axis("peak_lr", self.peak_lr),
            Axis("weight_decay", self.weight_decay),
            Axis("epochs", self.epochs),
        ]


@dataclass(frozen=True, slots=True)
class Folds:
    """How one file becomes three parts: by a column that numbers its folds."""

    column: str
    dev: int
    test: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteTask:
    """One data set, and how well it is known is measured."""

    name: str
    folders: tuple[str, ...] = ()
    """Other names of its folder; case and punctuation do not matter."""
    learns: Literal["classify", "tokens", "spans"] = "classify"
    train: tuple[str, ...] = ("train",)
    """What the name of the file begins with; the first that is there."""
    dev: tuple[str, ...] = ("dev", "validation")
    """Without any, a tenth of the others is held out."""
    test: tuple[str, ...] = ()
    folds: Folds | None = None
    has_header: bool = True
    """Whether the first line of a .tsv names its columns; else they are called 1, 2, 3, ..."""
    columns: tuple[Columns, ...] = ()
    """What holds what, in each layout that there is."""
    labels: tuple[str, ...] = ()
    """Names of labels that some layouts number from 0; none where it is a value."""
    measures: tuple[str, ...]
    """The score is their mean."""
    scored_on: tuple[Literal["dev", "test"], ...] = ("dev",)
    """Over these parts the score is a mean."""
    dev_rows: int = 0
    """Labelled examples of the dev part that published scores are of; 0 where there are none."""
    best_by: str
    """Measure of dev that chooses among epochs and settings."""
    follows: str = ""
    """Task whose model it starts from, with another head."""
    base: Values
    """For models up to 1023 wide; the rate is raised for those below 768, see `raised`."""
    large: Values
    grid: Grid
    max_length: int = 0
    """Tokens at which texts are cut; 0 takes what the model reads."""
    batch_size: int = 64
    """64 in all of the paper's own searches, by its authors."""
    precision: Literal["auto", "float32"] = "auto"

    def is_value(self) -> bool:
        """Return whether a number is predicted."""
        return self.learns == "classify" and not self.labels

    def axes(self, dim: int, *, is_quick: bool) -> list[Axis]:
        """Return what is tried for a model of some width: the published values, or the grid."""
        if not is_quick:
            axes = self.grid.axes()
        else:
            axes = (self.large if dim >= LARGE_DIM else self.base).axes()
        rates = tuple(rate * raised(dim) for rate in axes[0].values)
        return [Axis(axes[0].name, rates), *axes[1:]]

    def measured(self, summary: Summary) -> dict[str, float]:
        """Return the measures that make the score, by name and part."""
        parts = {"dev": summary.dev, "test": summary.test}
        return {
            self.spelled(name, part): parts[part][name]
            for part in self.scored_on
            for name in self.measures
        }

    def spelled(self, measure: str, part: str) -> str:
        """Name a measure, with its part where there are two."""
        return measure if len(self.scored_on) < 2 else f"{measure} ({part})"

    def score(self, measured: dict[str, float]) -> float:
        """Return the mean of the measures, in percent."""
        return 100 * sum(measured.values()) / len(measured)


@dataclass(frozen=True, slots=True)
class Suite:
    """Tasks that belong together."""

    name: str
    title: str
    """What the mean of all its tasks is called."""
    tasks: tuple[SuiteTask, ...]
    hub: str = ""
    """Data set on the hub that holds them all."""
    notes: Sequence[str] = ()
    """Sentences that a reader of its scores should know."""


def raised(dim: int) -> float:
    """Return by how much a rate for a width of 768 is raised for narrower models."""
    return max(1.0, width_factor(dim))
