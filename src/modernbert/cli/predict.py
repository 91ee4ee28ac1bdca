"""`modernbert predict MODEL FILE`: texts in, the same rows with labels out."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from modernbert.base.log import say


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOptions:
    """What is read and written."""

    out: Path | None = None
    """File to write, .jsonl or .csv; without it rows are printed as .jsonl."""
    text: str = ""
    """Column of the texts; guessed and said where it is left out."""
    pair: str = ""
    """Column of the second texts, where the model compares two."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line of a .csv or .tsv names the columns."""
    probabilities: bool = False
    """Add every label with its probability."""


def predict(
    model: Annotated[str, tyro.conf.Positional],
    file: Annotated[Path, tyro.conf.Positional],
    /,
    *,
    options: Annotated[PredictOptions, tyro.conf.arg(name="")],
) -> int:
    """Label the texts of a file, some rows at a time, so that its size does not matter.

    Args:
        model: Folder of a model that labels texts, or its name on the hub.
        file: .csv, .tsv, .jsonl, .json or .parquet, also packed, or a folder of datasets.
        options: What is read and written.
    """
    from modernbert.base.files import whole_file
    from modernbert.data.columns import Columns
    from modernbert.data.table import HAS_HEADER, open_table
    from modernbert.infer.predict import Writer, form_of
    from modernbert.infer.predict import predict as predictions
    from modernbert.infer.pretrained import load

    form = "jsonl" if options.out is None else form_of(options.out)
    table = open_table(file, "test", has_header=HAS_HEADER[options.header])
    columns = Columns(options.text, options.pair)
    rows = predictions(load(model), table, columns, gives_all=options.probabilities)
    if options.out is None:
        Writer(sys.stdout, form).write(rows)
        return 0
    with whole_file(options.out) as aside, aside.open("w", encoding="utf-8", newline="") as target:
        number = Writer(target, form).write(rows)
    say(f"{number:,} rows are in {options.out}")
    return 0
