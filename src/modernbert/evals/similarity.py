"""Pairs of texts with a number that says how alike they are in; how a model orders them out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modernbert.base import files
from modernbert.base.device import Autocast, choose_device
from modernbert.base.errors import DataError
from modernbert.base.records import to_plain
from modernbert.data.columns import Columns, guess
from modernbert.data.examples import first_rows, said_in, texts_in
from modernbert.data.said import number_of
from modernbert.data.table import open_table
from modernbert.evals.sweep import provenance
from modernbert.evals.text_table import text_table
from modernbert.retrieval.embedder import open_embedder
from modernbert.tasks import metrics
from modernbert.train.checkpoint import FORMAT

_FEWEST = 2
"""Numbers that have an order."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a model's cosines agree with people's judgements of pairs."""

    model: str
    data: str
    pairs: int
    spearman: float
    pearson: float


def evaluate_similarity(
    models: Sequence[str], data: Sequence[Path], device: str = "auto"
) -> list[Agreement]:
    """Compare the cosine of each pair's vectors with its number, as STS-B is measured.

    Any model of sentence-transformers is taken, computed in float32.

    Raises:
        CheckpointError: a model cannot be read.
        DataError: a file cannot be read, or holds no pairs whose numbers differ.
    """
    sets = [(str(path), *read_pairs(path)) for path in data]
    autocast = Autocast(choose_device(device), "float32")
    found = []
    for model in models:
        opened = open_embedder(model, autocast)
        for name, ones, others, numbers in sets:
            cosines = (opened.vectors(ones) * opened.vectors(others)).sum(1).astype(np.float64)
            spearman, pearson = (f(cosines, numbers) for f in (metrics.spearman, metrics.pearson))
            found.append(Agreement(model, name, len(numbers), spearman, pearson))
    return found


def write(found: Sequence[Agreement], folder: Path) -> None:
    """Keep what was measured.

    Raises:
        MachineError: the folder cannot be written.
    """
    files.make_folder(folder)
    content = {"format": FORMAT, "agreements": [to_plain(each) for each in found], **provenance()}
    files.write_json(folder / "similarity.json", content)


def lines_of(found: Sequence[Agreement]) -> str:
    """Lay what was measured out, a line for each model and set."""
    rows = [
        (each.model, each.data, f"{each.pairs}", f"{each.spearman:.4f}", f"{each.pearson:.4f}")
        for each in found
    ]
    return text_table(rows, ("model", "pairs of", "number", "Spearman", "Pearson"))


def read_pairs(
    path: Path, named: Columns | None = None
) -> tuple[list[str], list[str], metrics.Values]:
    """Read rows of two texts and a number; columns that are not named are guessed.

    Raises:
        DataError: a file cannot be read, or holds no pairs whose numbers differ.
    """
    table = open_table(path, "test")
    rows = [row.values for row in first_rows(table)]
    columns = guess(named or Columns(), rows, str(path))
    if len(columns.texts) != 2 or len(columns.label) != 1:
        raise DataError(
            f"{path} is not seen to hold two texts and a number a row (it has "
            f"{', '.join(rows[0])}): name the columns sentence1, sentence2 and "
            "score"
        )
    ones, others, numbers = [], [], []
    for row in table:
        one, other = texts_in(row, columns)
        ones.append(one)
        others.append(other)
        try:
            numbers.append(number_of(said_in(row, columns)))
        except DataError as error:
            way = "call the right one score" if named is None else "name it with --label"
            raise DataError(
                f"the column {columns.label[0]!r} of {path} was taken for the numbers, and "
                f"{error}; or {way}"
            ) from error
    if len({*numbers}) < _FEWEST:
        raise DataError(
            f"{path} has {len(numbers)} pairs with {len({*numbers})} different numbers, and a "
            f"correlation needs {_FEWEST}: give more pairs"
        )
    return ones, others, np.array(numbers, dtype=np.float64)
