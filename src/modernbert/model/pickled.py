"""The one file that unpickles: a checkpoint of torch in, plain values and tensors out, no code run.

Nothing but tensors, numbers, texts and the few harmless classes named here is ever made; a file
that names anything else is refused before it is touched. Tensors stay on disk until they are used.
"""

import re
import warnings
import zipfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.torch_version import TorchVersion

from modernbert.base.errors import CheckpointError

SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
"""What such files are called."""

_REFUSED = re.compile(r"GLOBAL ([\w.]+)")

_new_array: Any = np.zeros(0).__reduce__()[0]
# What a Composer checkpoint holds besides tensors and plain values: clocks (composer
# core/time.py), the random state of numpy (utils/reproducibility.py) and torch's version
# (core/state.py). numpy 1 and 2 write the same function under two names.
_HARMLESS: list[Any] = [
    timedelta,
    TorchVersion,
    np.ndarray,
    np.dtype,
    type(np.dtype(np.uint32)),
    (_new_array, "numpy.core.multiarray._reconstruct"),
    (_new_array, "numpy._core.multiarray._reconstruct"),
]


def load(path: Path) -> Any:
    """Read what `torch.save` wrote.

    Raises:
        CheckpointError: the file is not there, broken, or names code.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}: check the path")
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_HARMLESS):
            warnings.simplefilter("ignore")
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except Exception as error:  # a pickle can be wrong in any way
        if named := _REFUSED.search(str(error)):
            raise CheckpointError(
                f"{path} asks for {named[1]}, which could run code, so it is not read: if you "
                "trust it, save its tensors alone with torch.save and give that file"
            ) from error
        raise CheckpointError(
            f"{path} is no checkpoint of torch, or not a whole one: give a file that torch.save "
            "wrote, or copy it again"
        ) from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors by name, and nothing else.

    Raises:
        CheckpointError: as `load`; or the file holds something else.
    """
    tensors = tensors_of(load(path))
    if tensors is None:
        raise CheckpointError(f"{path} does not hold tensors by name: copy it again")
    return tensors


def tensors_of(content: object) -> dict[str, Tensor] | None:
    """Return the tensors by name that a content is, None where it is something else."""
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(each, Tensor) for name, each in content.items()
    ):
        return None
    return dict(content)
