"""Runtimes that take a graph of ONNX, and the graph that torch makes of transformers' model."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modernbert.bench.runtimes.kinds import Documents, Encode, Target, grid
from modernbert.bench.runtimes.theirs import opened

GRAPH = "model.onnx"


def onnx_runtime(folder: Path, _: Target, graph: str = GRAPH) -> Encode:
    """Load ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        str(folder / graph), options, providers=["CPUExecutionProvider"]
    )

    def encode(documents: Documents) -> Any:
        ids, mask = grid(documents)
        return session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]

    return encode


def open_vino(folder: Path, _: Target, hint: str | None = None, graph: str = GRAPH) -> Encode:
    """Load OpenVINO, which chooses the precision where no hint says it."""
    import openvino

    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
    if hint:
        settings["INFERENCE_PRECISION_HINT"] = hint
    model = openvino.Core().compile_model(str(folder / graph), "CPU", settings)

    def encode(documents: Documents) -> Any:
        ids, mask = grid(documents)
        return model({"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]

    return encode


class _Bare(nn.Module):
    """Tensors in, a tensor out: what an exporter wants."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        out: Tensor = self.model(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        return out


def write_graph(folder: Path) -> None:
    """Write transformers' model as a graph of ONNX that takes any batch and length."""
    ids = torch.ones(2, 300, dtype=torch.int64)
    any_size = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        _Bare(opened(folder, Target("float32", "cpu"))).eval(),
        (ids, ids.clone()),
        folder / GRAPH,
        input_names=["input_ids", "attention_mask"],
        output_names=["last_hidden_state"],
        dynamic_shapes={"input_ids": any_size, "attention_mask": any_size},
        dynamo=True,
        external_data=True,
        verbose=False,
    )
