"""An export on disk in, a model that runs it out: packed batches in, what its head says out."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from modernbert.base.errors import CheckpointError, ConfigError, MachineError, reason_of
from modernbert.base.shapes import Float, Int
from modernbert.batch import PackedBatch, gather, pad, real, restore, split
from modernbert.infer.export.record import Export, Form, checked
from modernbert.model.config import EncoderConfig, HeadConfig
from modernbert.model.int8 import read_rounded
from modernbert.model.model import Model

_SHORT = 64
"""Tokens up to which another call costs more than padding."""
INPUTS = ("input_ids", "attention_mask")
_Arrays = Sequence[NDArray[Any]]
Session = Callable[[Mapping[str, NDArray[np.int64]]], _Arrays]


def inputs(
    head: HeadConfig | None, ids: Int[Tensor, "S L"], mask: Int[Tensor, "S L"]
) -> dict[str, NDArray[np.int64]]:
    """Lay grids out as a graph takes them: options of a question are rows of one of its own."""
    grids = (ids[None], mask[None]) if _is_choice(head) else (ids, mask)
    return {name: grid.numpy() for name, grid in zip(INPUTS, grids, strict=True)}


def _alike(lengths: Sequence[int]) -> list[list[int]]:
    """Group sequences, the longest first, so that none is padded to more than twice its length.

    A graph's global layers compare all places of a grid, padding too.
    """
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    groups: list[list[int]] = []
    for number in order:
        if not groups or 2 * max(lengths[number], _SHORT) < lengths[groups[-1][0]]:
            groups.append([])
        groups[-1].append(number)
    return groups if len(groups) > 1 else [list(range(len(lengths)))]


def _is_choice(head: HeadConfig | None) -> bool:
    return head is not None and head.kind == "choice"


@final
class ExportedModel(nn.Module):
    """A model whose weights another runtime holds."""

    def __init__(self, export: Export, session: Session) -> None:
        super().__init__()
        self.config: EncoderConfig = export.encoder
        self.head_config: HeadConfig | None = export.head
        self._session = session

    @property
    def device(self) -> torch.device:
        """Where batches are to lie."""
        return torch.device("cpu")

    def forward(self, batch: PackedBatch) -> Float[Tensor, "rows N"]:
        """Return the head's scores, or encoded tokens when there is no head, as `Model` does."""
        groups = _alike(batch.layout.lengths())
        if len(groups) == 1:
            return self._run(batch)
        parts = [gather(batch, group) for group in groups]
        return restore(groups, [self._pieces(self._run(part), part) for part in parts])

    def _pieces(self, rows: Tensor, batch: PackedBatch) -> Sequence[Tensor]:
        return rows.split(1) if self._reads_documents else split(rows, batch.layout)

    @property
    def _reads_documents(self) -> bool:
        return self.head_config is not None and self.head_config.reads_documents

    def _run(self, batch: PackedBatch) -> Float[Tensor, "rows N"]:
        mask = real(batch.layout)
        grids = pad(batch.ids, batch.layout), mask.long()
        found = [torch.from_numpy(each) for each in self._session(inputs(self.head_config, *grids))]
        rows = torch.stack(found, -1) if len(found) > 1 else found[0]
        if _is_choice(self.head_config):
            return rows[0, :, None]
        return rows if self._reads_documents else rows[mask]

    def encoded(self, batch: PackedBatch) -> Float[Tensor, "T D"]:
        """Return encoded tokens.

        Raises:
            ConfigError: the graph gives its head's scores alone.
        """
        if self.head_config is not None:
            raise ConfigError(
                "this graph gives what its head says, and no vectors: export the model with "
                "--headless"
            )
        found: Tensor = self(batch)
        return found


Runs = Model | ExportedModel
"""What reads packed batches: weights here, or a graph that another runtime runs."""


def open_proven(folder: Path, form: Form, export: Export) -> Runs:
    """Open what was exported, once it is known to be what was proven.

    Raises:
        CheckpointError: it is missing, was changed, broke a bound, or cannot be opened.
        MachineError: its runtime is not installed.
    """
    return open_form(checked(folder, form, export), form, export)


def open_form(path: Path, form: Form, export: Export) -> Runs:
    """Open what was written, by its runtime, with as many threads as torch has.

    Raises:
        CheckpointError: the runtime does not read it.
        MachineError: the runtime is not installed.
    """
    if form == "int8":
        return read_rounded(path, export.encoder, export.head)
    make = _onnx if form.startswith("onnx") else _openvino
    try:
        return ExportedModel(export, make(path))
    except ImportError as error:
        raise MachineError(
            f"running {path.name} needs a package that is not installed ({error}): pip install "
            "'modernbert[export]'"
        ) from error
    except Exception as error:  # of another library, of any kind
        raise CheckpointError(
            f"{path} cannot be opened ({reason_of(error)}): export anew"
        ) from error


def _onnx(path: Path) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(given: Mapping[str, NDArray[np.int64]]) -> _Arrays:
        found: _Arrays = session.run(None, dict(given))
        return found

    return run


def _openvino(path: Path) -> Session:
    import openvino

    hints = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # By itself it computes in bfloat16 where a processor can, and is off in the third place.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    model = openvino.Core().compile_model(str(path), "CPU", hints)
    own = _Own(model)

    def run(given: Mapping[str, NDArray[np.int64]]) -> _Arrays:
        found = own.request.infer(dict(given))
        return [np.array(found[port]) for port in model.outputs]

    return run


class _Own(threading.local):
    """Of each thread, what computes for it: OpenVINO's requests take one batch at a time."""

    def __init__(self, model: Any) -> None:
        self.request = model.create_infer_request()
