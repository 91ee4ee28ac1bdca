"""`modernbert export MODEL --to onnx --out DIR`: a model in, graphs for other runtimes out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from modernbert.base.errors import ConfigError
from modernbert.cli.arguments import Model

if TYPE_CHECKING:
    from modernbert.infer.export.record import Export, Form


Reader = Literal["onnx", "openvino", "modernbert"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is written, and what it must keep to."""

    to: tuple[Reader, ...] = ("onnx",)
    """What reads it, one or more: onnx (ONNX Runtime, transformers.js, fastembed), openvino, or
    modernbert (this package, in 8 bits)."""
    int8: bool = False
    """Keep matrices in 8 bits: a quarter of their size."""
    examples: Path | None = None
    """File of texts that graphs are proven on, as finetune reads it; where rows have labels too,
    the task is measured. By default this package's own source."""
    text: str = ""
    """Column of the texts of --examples; guessed where it is left out, as the others are."""
    pair: str = ""
    """Column of the second texts, where two are compared, or of the questions about texts."""
    label: tuple[str, ...] = ()
    """Column of labels or answers, or one column of 0 and 1 for each of several labels."""
    choices: tuple[str, ...] = ()
    """Column of lists of options to choose from, or one column for each option."""
    least_cosine: float = 0.0
    """What the cosine to the model's own vectors or scores must reach on every text; 0 takes
    0.99999, or in 8 bits 0.995 of vectors and 0.998 of scores."""
    most_lost: float = 0.005
    """What a graph may lose of the task's measure on --examples."""
    headless: bool = False
    """Leave the head out: a graph of vectors."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print export.json instead of a table."""

    def __post_init__(self) -> None:
        """Reject what means nothing."""
        if not self.to:
            raise ConfigError("--to names nothing: give onnx, openvino or modernbert")
        if "modernbert" in self.to and not self.int8:
            raise ConfigError("--to modernbert needs no export but in 8 bits: add --int8")
        if self.examples is None and (self.text or self.pair or self.label or self.choices):
            raise ConfigError(
                "--text, --pair, --label and --choices are columns of --examples: give that file"
            )
        if not (0 <= self.least_cosine <= 1 and 0 <= self.most_lost <= 1):
            raise ConfigError(
                f"--least-cosine is {self.least_cosine} and --most-lost {self.most_lost}: give "
                "numbers from 0 to 1"
            )


def export(
    model: Model,
    /,
    *,
    out: Path,
    options: Annotated[ExportOptions, tyro.conf.arg(name="")],
) -> int:
    """Write a model as a graph that other runtimes run, and prove that it says the same.

    OUT opens in ONNX Runtime, OpenVINO, transformers.js and whatever reads their layout; here by
    --runtime. A graph that is further from the model than it may be is not kept.

    Args:
        model: Folder of a model, or a hub id, with @revision or without.
        out: Folder for the graphs; those that it has of the same model stay.
        options: What is written, and what it must keep to.
    """
    from modernbert.base.log import say
    from modernbert.base.records import to_plain
    from modernbert.evals.exported import examples_in, own_texts
    from modernbert.evals.head_measures import Named
    from modernbert.infer.export.export import Asked, RefusedError, export_model
    from modernbert.infer.source import open_source
    from modernbert.infer.told import Told

    opened = open_source(model, Told(headless=options.headless))
    named = Named(options.text, options.pair, options.label, options.choices)
    given = examples_in(options.examples, opened, named) if options.examples else own_texts()
    asked = Asked(
        forms=tuple(_form(each, is_int8=options.int8) for each in dict.fromkeys(options.to)),
        least_cosine=options.least_cosine,
        most_lost=options.most_lost,
    )
    try:
        found = export_model(model, opened, given.texts, asked, out, given.metric)
    except RefusedError as error:
        if error.kept.graphs:
            say(lines_of(error.kept))
        raise
    print(json.dumps(to_plain(found), indent=2) if options.as_json else lines_of(found))
    return 0


def lines_of(found: "Export") -> str:
    """Lay out how far each graph is from its model."""
    from modernbert.evals.text_table import text_table

    rows = [
        (
            form,
            f"{each.size_bytes / 1e6:.0f} MB",
            f"{each.proof.texts}",
            f"{each.proof.cosine:.5f}",
            f"{each.proof.mean_cosine:.5f}",
            f"{each.proof.largest_error:.2g}",
            _measured(each.proof.metric, each.proof.model, each.proof.graph),
        )
        for form, each in found.graphs.items()
    ]
    head = (
        "graph",
        "size",
        "texts",
        "lowest cosine",
        "mean",
        "largest error",
        "task, model and graph",
    )
    return text_table(rows, head)


def _measured(name: str, model: float, graph: float) -> str:
    return f"{name} {model:.4f}, {graph:.4f}" if name else ""


def _form(reader: Reader, *, is_int8: bool) -> "Form":
    forms: dict[tuple[str, bool], Form] = {
        ("modernbert", True): "int8",
        ("onnx", False): "onnx",
        ("onnx", True): "onnx-int8",
        ("openvino", False): "openvino",
        ("openvino", True): "openvino-int8",
    }
    return forms[reader, is_int8]
