"""A model in, the same with its encoder's matrices in 8 bits out, in memory or in a file.

A file holds each matrix as integers, `NAME.weight`, with a number a row that they are to be
multiplied by, `NAME.scales`; all else is there in float32. So is a table of token vectors that
is a head's decoder too.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from modernbert.base.errors import CheckpointError, MachineError
from modernbert.base.shapes import Float, Int, Int8
from modernbert.kernels import int8
from modernbert.model import stored
from modernbert.model.config import EncoderConfig, HeadConfig
from modernbert.model.heads import MaskedLMHead
from modernbert.model.init import outline
from modernbert.model.model import Model

_MATRICES = ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo")
_TABLE = "encoder.embeddings.tok_embeddings"
_TABLE_STEPS = 127
"""All 8 bits: token vectors are looked up, and no instructions add their products."""


class RoundedLinear(nn.Module):
    """A projection in 8 bits; it has no weights to learn or to save."""

    def __init__(
        self,
        whole: Int8[Tensor, "N K"],
        scales: Float[Tensor, "N"],
        bias: Float[Tensor, "N"] | None,
    ) -> None:
        super().__init__()
        self._packed = int8.pack(whole, scales, bias)

    def forward(self, x: Float[Tensor, "T K"]) -> Float[Tensor, "T N"]:
        """Multiply, without gradients."""
        return int8.linear(x, self._packed)


class RoundedTable(nn.Module):
    """Token vectors in 8 bits."""

    weight: Tensor
    scales: Tensor

    def __init__(self, whole: Int8[Tensor, "V D"], scales: Float[Tensor, "V"]) -> None:
        super().__init__()
        self.register_buffer("weight", whole, persistent=False)
        self.register_buffer("scales", scales, persistent=False)

    def forward(self, ids: Int[Tensor, "T"]) -> Float[Tensor, "T D"]:
        """Look ids up."""
        scales = self.scales[ids, None]
        return self.weight[ids].to(scales.dtype) * scales


def round_matrices(model: Model) -> None:
    """Put 8 bits in the place of each matrix of an encoder, once and for all, on a CPU.

    Norms and the head stay as they are, in float32.

    Raises:
        MachineError: this torch has no such products.
    """
    _fill(model.float(), _rounded(model))


def write_rounded(model: Model, path: Path) -> None:
    """Write a model's weights with its encoder's matrices in 8 bits.

    Raises:
        MachineError: it cannot be written.
    """
    tensors = model.state_dict() | _rounded(model)
    if _is_decoder(model):
        del tensors["head.decoder.weight"]
    whole = {
        name: (x if x.dtype == torch.int8 else x.float()).cpu().contiguous()
        for name, x in tensors.items()
    }
    stored.write_tensors(whole, path.parent, path.name)


def read_rounded(path: Path, config: EncoderConfig, head: HeadConfig | None) -> Model:
    """Read what `write_rounded` wrote of a model of this shape.

    Raises:
        CheckpointError: it is broken, or of another model.
        MachineError: this torch has no such products.
    """
    tensors, _ = stored.read_file(path)
    model = outline(config, head)
    try:
        _fill(model, tensors)
        # Copied out of the mapped file, where numbers begin at odd addresses: MKL's rounding of a
        # product of few rows follows the address, and a file is to say what its model says.
        wanted = {name: tensors[name].clone() for name, _ in model.named_parameters()}
        model.load_state_dict(wanted, strict=False, assign=True)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} is of another model: export anew") from error
    model.tie()
    return model.eval().requires_grad_(requires_grad=False)


@torch.no_grad()
def _rounded(model: Model) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, module in _modules(model).items():
        steps = _TABLE_STEPS if name == _TABLE else int8.STEPS
        found[f"{name}.weight"], found[f"{name}.scales"] = int8.rounded(module.weight, steps)
        if isinstance(module, nn.Linear) and module.bias is not None:
            found[f"{name}.bias"] = module.bias
    return found


def _modules(model: Model) -> dict[str, nn.Linear | nn.Embedding]:
    """Return what is rounded, by name."""
    places = [
        f"encoder.layers.{number}.{name}"
        for number in range(model.config.num_layers)
        for name in _MATRICES
    ]
    if not _is_decoder(model):
        places.append(_TABLE)
    found = {place: model.get_submodule(place) for place in places}
    return {
        place: each for place, each in found.items() if isinstance(each, nn.Linear | nn.Embedding)
    }


def _is_decoder(model: Model) -> bool:
    """Return whether the table of token vectors is the head's matrix too."""
    return isinstance(model.head, MaskedLMHead) and model.config.tie_embeddings


def _fill(model: Model, tensors: Mapping[str, Tensor]) -> None:
    if not torch.backends.mkldnn.is_available():
        raise MachineError(
            "8 bits are multiplied by oneDNN, and this torch was built without it: take runtime "
            "torch, or a graph in 8 bits"
        )
    for place, module in _modules(model).items():
        whole, scales = tensors[f"{place}.weight"], tensors[f"{place}.scales"]
        if whole.shape != module.weight.shape or whole.dtype != torch.int8:
            raise KeyError(place)
        parent, _, name = place.rpartition(".")
        rounded: nn.Module
        if isinstance(module, nn.Linear):
            bias = None if module.bias is None else tensors[f"{place}.bias"]
            rounded = RoundedLinear(whole, scales, bias)
        else:
            rounded = RoundedTable(whole, scales)
        setattr(model.get_submodule(parent), name, rounded)
