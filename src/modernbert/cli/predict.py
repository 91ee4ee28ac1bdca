"""`modernbert predict MODEL FILE`: texts in, the same rows with labels out."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from modernbert.base.log import say
from modernbert.cli.arguments import File, Model
from modernbert.infer.told import Runtime

if TYPE_CHECKING:
    from modernbert.data.table import RowFiles
    from modernbert.infer.pretrained import Pretrained


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOptions:
    """What is read and written."""

    out: Path | None = None
    """File to write, .jsonl or .csv; without it rows are printed as .jsonl."""
    text: str = ""
    """Column of the texts, or of the contexts of questions; guessed and said where left out. Where
    it is given, the file is a table and not words in columns."""
    pair: str = ""
    """Column of the second texts, where the model compares two, or of the questions."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line of a .csv or .tsv names the columns."""
    choices: tuple[str, ...] = ()
    """Column of the options to choose from, or one column for each."""
    probabilities: bool = False
    """Add every label, word or likely answer with its probability."""
    can_be_none: bool = False
    """Let a question have no answer in its text."""
    runtime: Runtime = "torch"
    """What computes: torch; int8, the same with matrices in 8 bits on a CPU; or a graph of a folder
    that `modernbert export` wrote."""


def predict(
    model: Model,
    file: File,
    /,
    *,
    options: Annotated[PredictOptions, tyro.conf.arg(name="")],
) -> int:
    """Say what a model finds in each row of a file, some at a time: its size does not matter.

    Args:
        model: Folder of a fine-tuned model, or its name on the hub.
        file: .csv, .tsv, .jsonl, .json or .parquet, also packed, a folder of datasets, a text a
            line (.txt), or words to tag in columns (.conll).
        options: What is read and written.
    """
    from modernbert.base.files import whole_file
    from modernbert.data.columns import Columns
    from modernbert.infer.predict import Writer, form_of
    from modernbert.infer.predict import predict as predictions
    from modernbert.infer.pretrained import load
    from modernbert.infer.sayings import Wishes

    form = "jsonl" if options.out is None else form_of(options.out)
    if options.out is not None and options.out.exists() and file.exists():
        _check_other(options.out, file)
    opened = load(model, runtime=options.runtime)
    table = _rows_of(file, opened, options)
    columns = Columns(options.text, options.pair, options.choices)
    wishes = Wishes(gives_all=options.probabilities, can_be_none=options.can_be_none)
    rows = predictions(opened, table, columns, wishes)
    if options.out is None:
        Writer(sys.stdout, form).write(rows)
        return 0
    with whole_file(options.out) as aside, aside.open("w", encoding="utf-8", newline="") as target:
        number = Writer(target, form).write(rows)
    say(f"{number:,} rows are in {options.out}")
    return 0


def _check_other(out: Path, file: Path) -> None:
    from modernbert.base.errors import ConfigError

    if out.samefile(file):
        raise ConfigError(f"--out {out} is the file that is read: name another one")


def _rows_of(file: Path, model: "Pretrained", options: PredictOptions) -> "RowFiles":
    """Open a table, words in columns where words are tagged, or running text."""
    from modernbert.data.table import HAS_HEADER, open_table
    from modernbert.data.tagged import word_file
    from modernbert.data.word_files import is_of_words, is_plain_text, text_file

    head = model.model.head_config
    has_tags = head is not None and head.kind == "tokens"
    if has_tags and not options.text and is_of_words(file):
        return word_file(file)
    if is_plain_text(file):
        say(f"{file}: running text, a text a line")
        return text_file(file)
    return open_table(file, "test", has_header=HAS_HEADER[options.header])
