"""What a runtime is: a model's folder and a target in, a function that encodes documents out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor

from modernbert.base.shapes import Float, Int
from modernbert.batch import Layout, pad, real
from modernbert.bench.efficiency_case import DeviceName
from modernbert.bench.lengths import Numbers

Documents = Sequence[Int[Tensor, "N"]]
"""Token ids, in the main memory."""
Encode = Callable[[Documents], Any]
"""Documents in, vectors out, packed or padded, in whatever the runtime calls an array."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where and in what a model computes."""

    precision: Numbers
    device: DeviceName

    @property
    def dtype(self) -> torch.dtype:
        """What tensors are in, as torch calls it; beside 8 bits that is float32."""
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """One way to run encoders."""

    load: Callable[[Path, Target], Encode]
    package: str = "torch"
    """What must be installed for it, by the name that is imported."""
    is_ours: bool = False
    """Whether it runs this package's models only."""
    is_yardstick: bool = False
    """Whether it encodes nothing whole: a bound or a part, whose vectors nobody compares."""
    is_asked: bool = False
    """Whether it is measured only where it is named."""
    reads_graphs: bool = False
    """Whether it opens the graph that is made of transformers' model."""
    devices: tuple[DeviceName, ...] = ("cpu", "cuda")
    precisions: tuple[Numbers, ...] = ("float32", "bfloat16")

    def can(self, target: Target, *, ours: bool) -> bool:
        """Return whether it computes that, there, for a model of ours or of others."""
        is_able = target.device in self.devices and target.precision in self.precisions
        return is_able and (ours or not self.is_ours)


class _Only(TypedDict):
    devices: tuple[DeviceName, ...]
    precisions: tuple[Numbers, ...]


EIGHT_BITS: _Only = {"devices": ("cpu",), "precisions": ("int8",)}
"""Where runtimes run that are measured beside 8 bits."""


def grid(documents: Documents) -> tuple[Int[Tensor, "B L"], Int[Tensor, "B L"]]:
    """Pad documents to their longest, on the right, and say where they are."""
    layout = Layout.of([len(document) for document in documents])
    return pad(torch.cat(list(documents)), layout), real(layout).long()


def rows_of(output: Any, documents: Documents) -> Float[Tensor, "T D"]:
    """Return the vectors of the real tokens, one document after the other."""
    found = torch.as_tensor(output).cpu()
    return found if found.dim() == 2 else found[grid(documents)[1].bool()]
