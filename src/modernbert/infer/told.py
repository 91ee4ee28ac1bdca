"""What a checkpoint may leave out and its user can say. Importing this costs nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Runtime = Literal["torch", "int8", "onnx", "onnx-int8", "openvino", "openvino-int8"]
"""What computes: this package's kernels, these with matrices in 8 bits, or a graph by its form."""
LEAST_BATCH_TOKENS = 64
"""Tokens of the smallest batch that may be asked for."""


@dataclass(frozen=True, slots=True)
class Told:
    """How to read a source, where the source itself does not say."""

    config: Path | None = None
    """Of a checkpoint file: config.json, or the YAML it was trained with."""
    preset: str | None = None
    """Of a checkpoint file: its shape by name, such as base or large, instead of a config."""
    tokenizer: Path | None = None
    """Folder of the tokenizer; by default the source's own."""
    max_length: int | None = None
    """Of a checkpoint file: the longest text the model was trained for, in tokens."""
    headless: bool = False
    """Leave the head out and keep the encoder alone."""
