"""This package's encoder as a runtime, and the yardsticks that are parts of it."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from modernbert.batch import Layout, PackedBatch
from modernbert.bench.lengths import Numbers
from modernbert.bench.runtimes.kinds import Documents, Encode, Target
from modernbert.infer.encode import encode as encode_packed
from modernbert.model import folder as model_folder
from modernbert.model.config import LayerKind
from modernbert.model.encoder import Encoder
from modernbert.model.init import build
from modernbert.model.int8 import round_matrices
from modernbert.model.widened import widely


def packed(
    folder: Path,
    target: Target,
    *,
    is_compiled: bool = False,
    precision: Numbers | None = None,
) -> Encode:
    """Load this package's encoder, in the target's numbers or in others."""
    target = Target(precision or target.precision, target.device)
    encoder = _encoder(folder, target)
    if is_compiled:
        for layer in encoder.layers:
            layer.compile(dynamic=True)
    return _encoding(encoder, target)


def local_layers(folder: Path, target: Target) -> Encode:
    """Make an encoder of as many local layers as the model has, and no global one.

    What it takes grows with the number of tokens and not with their documents' length.
    """
    config = model_folder.read_config(folder)
    number = sum(not config.is_global(layer) for layer in range(config.num_layers))
    kinds: tuple[LayerKind, ...] = tuple("local" for _ in range(number))
    local = replace(config, num_layers=number, layer_kinds=kinds)
    encoder = build(local, 0, None).eval().encoder
    return _encoding(encoder.to(target.device, target.dtype), target)


def products(folder: Path, target: Target) -> Encode:
    """Load the encoder's matrices alone, to multiply as many rows by each as there are tokens.

    No encoder can do without these products: their speed is a bound to all.
    """
    modules = _encoder(folder, target).modules()
    linears = [module for module in modules if isinstance(module, nn.Linear)]
    widths = {linear.in_features for linear in linears}

    @torch.inference_mode()
    def encode(documents: Documents) -> None:
        num_tokens = sum(map(len, documents))
        inputs = {
            width: torch.ones(num_tokens, width, dtype=target.dtype, device=target.device)
            for width in widths
        }
        for linear in linears:
            widely(linear, inputs[linear.in_features])

    return encode


def _encoding(encoder: Encoder, target: Target) -> Encode:
    @torch.inference_mode()
    def encode(documents: Documents) -> Tensor:
        layout = Layout.of([len(document) for document in documents])
        batch = PackedBatch(torch.cat(list(documents)), layout)
        return encode_packed(encoder, batch.to(target.device))

    return encode


def _encoder(folder: Path, target: Target) -> Encoder:
    model = model_folder.read(folder).eval()
    if target.precision == "int8":
        round_matrices(model)
    return model.encoder.to(target.device, target.dtype)
