"""Other ways to multiply in 8 bits: a model's folder in, a function that encodes documents out.

Each rounds as its own documentation says, with random documents where it wants to see some.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from modernbert.base.rng import generator
from modernbert.batch import Layout, PackedBatch
from modernbert.bench.runtimes.graphs import GRAPH, onnx_runtime, open_vino
from modernbert.bench.runtimes.kinds import Documents, Encode, Target
from modernbert.bench.runtimes.theirs import encoding, opened
from modernbert.infer.export import writing
from modernbert.infer.export.record import Export
from modernbert.infer.export.running import open_form
from modernbert.model import folder as model_folder
from modernbert.model.model import Model

_SEEN_DOCUMENTS, _SEEN_TOKENS = 16, 128


def onnx_runtime_int8(folder: Path, target: Target) -> Encode:
    """Let ONNX Runtime round the matrices of transformers' graph, and all else as it comes."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    rounded = folder / "model_int8.onnx"
    quantize_dynamic(folder / GRAPH, rounded, weight_type=QuantType.QInt8)
    return onnx_runtime(folder, target, rounded.name)


def open_vino_int8(folder: Path, target: Target) -> Encode:
    """Let NNCF round transformers' graph for OpenVINO, by what documents need."""
    whole, rounded = folder / "model.xml", folder / "model_int8.xml"
    writing.to_openvino(folder / GRAPH, whole)
    writing.openvino_to_int8(whole, rounded, _seen(folder))
    return open_vino(folder, target, "f32", rounded.name)


def exported(folder: Path, _: Target, *, form: Literal["onnx-int8", "openvino-int8"]) -> Encode:
    """Load what `modernbert export --int8` writes."""
    model = model_folder.read(folder).eval()
    encoder = Model(model.encoder)
    source, place = folder / "exported.onnx", folder / form
    place.mkdir(exist_ok=True)
    writing.write_onnx(encoder, source, is_for_int8=True)
    if form == "onnx-int8":
        path = place / "model.onnx"
        writing.to_int8(source, path)
    else:
        whole, path = place / "whole.xml", place / "model.xml"
        writing.to_openvino(source, whole)
        writing.openvino_to_int8(whole, path, _seen(folder))
    runs = open_form(path, form, Export(model="", encoder=encoder.config, head=None))

    @torch.inference_mode()
    def encode(documents: Documents) -> Tensor:
        layout = Layout.of([len(document) for document in documents])
        found: Tensor = runs(PackedBatch(torch.cat(list(documents)), layout))
        return found

    return encode


def dynamic_linears(folder: Path, target: Target) -> Encode:
    """Let torch round the linear layers of transformers' model as documents come."""
    from torch.ao.quantization import quantize_dynamic

    model = opened(folder, Target("float32", target.device))
    return encoding(quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8), target)


def torchao_linears(folder: Path, target: Target) -> Encode:
    """Let torchao do the same, compiled."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    model = opened(folder, Target("float32", target.device))
    quantize_(model, Int8DynamicActivationInt8WeightConfig())
    model.compile(dynamic=True)
    return encoding(model, target)


def _seen(folder: Path) -> list[dict[str, Any]]:
    size = model_folder.read_config(folder).vocab_size
    ids = generator(0, "seen").integers(size, size=(_SEEN_DOCUMENTS, 1, _SEEN_TOKENS))
    ones = np.ones((1, _SEEN_TOKENS), dtype=np.int64)
    return [{"input_ids": each, "attention_mask": ones} for each in ids]
