"""Ways to run one encoder on a CPU: a model folder and a precision in, encoded documents out.

Each runtime is set up as its own documentation says, takes lists of token ids and pads them if it
has to: what its user would wait for is what is timed.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from modernbert.batch import Layout, PackedBatch, pad, real
from modernbert.bench.cases import Precision
from modernbert.infer.encode import encode as encode_packed
from modernbert.model import folder as model_folder
from modernbert.model.encoder import Encoder
from modernbert.model.widened import widely

Documents = Sequence[Int[Tensor, "N"]]
Encode = Callable[[Documents], Any]
"""Documents in, vectors out, packed or padded, in whatever the runtime calls an array."""

OURS, PRODUCTS = "modernbert", "matrix products"
GRAPH = "model.onnx"


def packed(folder: Path, precision: Precision, *, is_compiled: bool = False) -> Encode:
    """Load this package's encoder."""
    encoder = _encoder(folder, precision)
    if is_compiled:
        for layer in encoder.layers:
            layer.compile(dynamic=True)

    @torch.inference_mode()
    def encode(documents: Documents) -> Tensor:
        layout = Layout.of([len(document) for document in documents])
        return encode_packed(encoder, PackedBatch(torch.cat(list(documents)), layout))

    return encode


def products(folder: Path, precision: Precision) -> Encode:
    """Load the encoder's matrices alone, to multiply as many rows by each as there are tokens.

    No encoder can do without these products: their speed is a bound to all.
    """
    modules = _encoder(folder, precision).modules()
    linears = [module for module in modules if isinstance(module, nn.Linear)]
    widths, dtype = {linear.in_features for linear in linears}, linears[0].weight.dtype

    @torch.inference_mode()
    def encode(documents: Documents) -> None:
        num_tokens = sum(map(len, documents))
        inputs = {width: torch.ones(num_tokens, width, dtype=dtype) for width in widths}
        for linear in linears:
            widely(linear, inputs[linear.in_features])

    return encode


def transformers(folder: Path, precision: Precision, *, is_compiled: bool = False) -> Encode:
    """Load transformers' encoder, with its default attention, scaled dot-product."""
    model = _their_model(folder, precision)
    if is_compiled:
        model.compile(dynamic=True)

    @torch.inference_mode()
    def encode(documents: Documents) -> Tensor:
        ids, mask = grid(documents)
        out: Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
        return out

    return encode


def onnx_runtime(folder: Path) -> Encode:
    """Load ONNX Runtime with the graph that torch.onnx makes of transformers' model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        str(folder / GRAPH), options, providers=["CPUExecutionProvider"]
    )

    def encode(documents: Documents) -> Any:
        ids, mask = grid(documents)
        return session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]

    return encode


def open_vino(folder: Path, hints: dict[str, str]) -> Encode:
    """Load OpenVINO with the same graph and some of its hints."""
    import openvino

    threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
    model = openvino.Core().compile_model(str(folder / GRAPH), "CPU", {**threads, **hints})

    def encode(documents: Documents) -> Any:
        ids, mask = grid(documents)
        return model({"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]

    return encode


RUNTIMES: dict[str, Callable[[Path, Precision], Encode]] = {
    OURS: packed,
    "modernbert compiled": lambda *given: packed(*given, is_compiled=True),
    PRODUCTS: products,
    "transformers": transformers,
    "transformers compiled": lambda *given: transformers(*given, is_compiled=True),
    "onnxruntime": lambda folder, _: onnx_runtime(folder),
    "openvino": lambda folder, _: open_vino(folder, {}),
    "openvino f32": lambda folder, _: open_vino(folder, {"INFERENCE_PRECISION_HINT": "f32"}),
}

READ_GRAPHS = ("onnxruntime", "openvino", "openvino f32")

# What computes in the precision that is asked for; OpenVINO's default is bfloat16 where a
# processor has it, and float32 elsewhere.
BY_PRECISION: dict[Precision, tuple[str, ...]] = {
    "float32": tuple(RUNTIMES),
    "bfloat16": tuple(name for name in RUNTIMES if name not in ("onnxruntime", "openvino f32")),
}


def rows_of(output: Any, documents: Documents) -> Float[Tensor, "T D"]:
    """Return the vectors of the real tokens, one document after the other."""
    found = torch.as_tensor(output)
    return found if found.dim() == 2 else found[grid(documents)[1].bool()]


def grid(documents: Documents) -> tuple[Int[Tensor, "B L"], Int[Tensor, "B L"]]:
    """Pad documents to their longest, on the right, and say where they are."""
    layout = Layout.of([len(document) for document in documents])
    return pad(torch.cat(list(documents)), layout), real(layout).long()


def _encoder(folder: Path, precision: Precision) -> Encoder:
    model = model_folder.read(folder).eval()
    return model.encoder.to(torch.float32 if precision == "float32" else torch.bfloat16)


def _their_model(folder: Path, precision: str) -> nn.Module:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import AutoModel

    model: nn.Module = AutoModel.from_pretrained(folder, dtype=precision)
    return model.eval()


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
        _Bare(_their_model(folder, "float32")).eval(),
        (ids, ids.clone()),
        folder / GRAPH,
        input_names=["input_ids", "attention_mask"],
        output_names=["last_hidden_state"],
        dynamic_shapes={"input_ids": any_size, "attention_mask": any_size},
        dynamo=True,
        external_data=True,
        verbose=False,
    )
