"""What export.json says of a model that was written for other runtimes."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from modernbert.base import files
from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.base.records import from_plain, nearest, to_plain
from modernbert.model.config import EncoderConfig, HeadConfig

NAME, FORMAT = "export.json", 1
Form = Literal["int8", "onnx", "onnx-int8", "openvino", "openvino-int8"]
"""What a model is written as, and in which numbers."""
PLACES: dict[Form, str] = {
    "int8": "int8/model.safetensors",
    "onnx": "onnx/model.onnx",
    # As transformers.js names it.
    "onnx-int8": "onnx/model_quantized.onnx",
    "openvino": "openvino/openvino_model.xml",
    # As sentence-transformers names it.
    "openvino-int8": "openvino/openvino_model_qint8_quantized.xml",
}
"""Where programs look for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How far what a graph says is from what the model says, in float32."""

    texts: int
    """Texts or pairs that both read."""
    tokens: int
    largest_error: float
    """Largest difference of two numbers."""
    cosine: float
    """Of what both say of a text, its vector or all its scores, where they lie furthest apart."""
    mean_cosine: float
    metric: str = ""
    """What was measured on a file of examples; empty without one."""
    model: float = 0.0
    """The model's own."""
    graph: float = 0.0
    least_cosine: float
    """What the cosine may not fall below."""
    most_lost: float
    """What the metric may lose."""

    def failure(self) -> str:
        """Return which bound is broken; empty where all hold. NaN breaks every one."""
        if self.texts < 1:
            return "it was proven on no text"
        if not self.cosine >= self.least_cosine:
            return f"the cosine to the model is {self.cosine:.5f}, below {self.least_cosine:g}"
        if self.metric and not self.model - self.graph <= self.most_lost:
            lost = self.model - self.graph
            return f"{self.metric} falls by {lost:.4f}, and may by {self.most_lost:g}"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A graph on disk."""

    files: dict[str, str]
    """Digest of each of its files, by path."""
    size_bytes: int
    proof: Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A folder of graphs of one model."""

    model: str
    """The model's fingerprint: what its weights and settings compute."""
    encoder: EncoderConfig
    head: HeadConfig | None
    around: dict[str, str] = field(default_factory=dict)
    """Digest of each file beside the graphs that decides what texts become, by path."""
    graphs: dict[str, Written] = field(default_factory=dict)
    """By form."""
    versions: dict[str, str] = field(default_factory=dict)

    def with_graph(self, form: Form, written: Written) -> "Export":
        """Add a graph, or put it in the place of an older one."""
        return replace(self, graphs={**self.graphs, form: written})


def write_export(export: Export, folder: Path) -> None:
    """Write export.json whole.

    Raises:
        MachineError: it cannot be written.
    """
    files.write_json(folder / NAME, {"format": FORMAT, **to_plain(export)})


def read_export(folder: Path) -> Export:
    """Read export.json.

    Raises:
        CheckpointError: there is none, or it is broken or of another format.
    """
    path = folder / NAME
    try:
        told = files.read_json(path)
        if not isinstance(told, dict) or told.pop("format", None) != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        return from_plain(Export, told, NAME)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder} holds no {NAME}: make it with `modernbert export`"
        ) from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError, ConfigError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): export the model anew") from error


def checked(folder: Path, form: Form, export: Export) -> Path:
    """Return where a graph lies, once it and what lies around it are what was proven.

    Raises:
        CheckpointError: the graph is missing, is not what was proven, or broke a bound.
    """
    written = export.graphs.get(form)
    if written is None:
        raise CheckpointError(f"{folder} holds no graph {form!r}: {nearest(form, export.graphs)}")
    if PLACES[form] not in written.files:
        raise CheckpointError(f"{folder / NAME} has no digest of {PLACES[form]}: export anew")
    if not export.around:
        raise CheckpointError(f"{folder / NAME} has no digest of a tokenizer: export anew")
    for name, known in {**export.around, **written.files}.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{path} is missing: export the model anew")
        if files.digest_of(path) != known:
            raise CheckpointError(f"{path} is not what was exported: copy it again, or export anew")
    if failure := written.proof.failure():
        raise CheckpointError(f"{folder} holds a graph {form!r} that is not to be used: {failure}")
    return folder / PLACES[form]
