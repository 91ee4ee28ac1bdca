"""Files of a model folder: JSON and safetensors in, objects and tensors out."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from modernbert.base.errors import CheckpointError, reason_of
from modernbert.base.files import read_json, whole_file

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
"""What weights may be stored as, by safetensors' names."""


def write_tensors(
    tensors: Mapping[str, Tensor],
    folder: Path,
    name: str = WEIGHTS,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write model.safetensors, or a file of another name, as transformers marks it.

    `notes` are kept in its header, where only those look who know of them.

    Raises:
        MachineError: the disk is full or the folder cannot be written.
    """
    with whole_file(folder / name) as aside:
        save_file(dict(tensors), aside, metadata={"format": "pt", **(notes or {})})


def read_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a folder's safetensors, with their names.

    Raises:
        CheckpointError: a file is missing or broken.
    """
    for file in _files(folder):
        yield from ((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118


def _files(folder: Path) -> Iterator[Any]:
    for path in weight_files(folder):
        with _opened(path) as file:
            yield file


def read_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of one file, and the notes in its header.

    Raises:
        CheckpointError: it is broken.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing: {INDEX} names it") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is broken ({reason_of(error)}): copy or download it again"
        ) from error


def has_weights(folder: Path) -> bool:
    """Return whether a folder holds weights that are read."""
    return any((folder / name).is_file() for name in (WEIGHTS, INDEX))


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold a folder's weights.

    Raises:
        CheckpointError: there are none.
    """
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if (folder / INDEX).exists():
        return [folder / name for name in _shards(folder / INDEX)]
    way = "give a folder with safetensors"
    if (pickled := folder / "pytorch_model.bin").exists():
        way += f", or make one by `modernbert convert {pickled} DST`"
    raise CheckpointError(f"{folder} has no {WEIGHTS}: {way}")


def _shards(index: Path) -> list[str]:
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise CheckpointError(f"{index} has no object weight_map: copy it again")
    # A name with a path in it could make us read any file of the machine.
    for name in weight_map.values():
        is_plain = isinstance(name, str) and Path(name).name == name
        if not is_plain or not name.endswith(".safetensors"):
            raise CheckpointError(
                f"{index} names {name!r} for weights, which is no safetensors file beside it: "
                "copy it again"
            )
    return sorted(set(weight_map.values()))


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        CheckpointError: it is missing, broken or holds something else.
    """
    content = _json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} does not hold a JSON object: copy it again")
    return content


def read_list(path: Path) -> list[Any]:
    """Read a JSON file that holds a list.

    Raises:
        CheckpointError: it is missing, broken or holds something else.
    """
    content = _json(path)
    if not isinstance(content, list):
        raise CheckpointError(f"{path} does not hold a JSON list: copy it again")
    return content


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing: give a folder that holds a model") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON ({reason_of(error)}): copy it again") from error


def headers(folder: Path) -> dict[str, Tensor]:
    """Read names, shapes and formats of the weights alone, as tensors that hold nothing.

    Raises:
        CheckpointError: a file is missing or broken, or in a format that is not computed in.
    """
    found = {}
    for file in _files(folder):
        for name in file.keys():  # noqa: SIM118
            part = file.get_slice(name)
            if (stored := part.get_dtype()) not in DTYPES:
                raise CheckpointError(
                    f"{folder}: {name} is stored as {stored}, and only {', '.join(DTYPES)} can be "
                    "read: give the weights in one of these"
                )
            found[name] = torch.empty(part.get_shape(), dtype=DTYPES[stored], device="meta")
    return found


def plain(name: str) -> str:
    """Return Hugging Face's name of a parameter without the prefix that a head's file has."""
    return name.removeprefix("model.")
