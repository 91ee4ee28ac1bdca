"""Model folders that transformers opens: a model to config.json and safetensors, and back."""

from collections.abc import Iterable, Iterator, Mapping
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from modernbert.base.errors import CheckpointError
from modernbert.base.files import read_json, whole_file, write_json
from modernbert.model.config import EncoderConfig
from modernbert.model.hf_config import from_hf, to_hf
from modernbert.model.hf_head import head_from_hf
from modernbert.model.init import empty
from modernbert.model.model import Model

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"

# Our prefix, Hugging Face's prefix; the first match counts.
_PREFIXES = (
    ("encoder.", "model."),
    ("head.decoder.", "decoder."),
    ("head.classifier.", "classifier."),
    ("head.", "head."),
)
_NAMED_AT_MOST = 5
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


def write(model: Model, folder: Path) -> None:
    """Write config.json and model.safetensors; an existing folder keeps its other files.

    Raises:
        ConfigError: a special token's id is outside the vocabulary.
        MachineError: the disk is full or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        hf_name(name): tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if not (name == "head.decoder.weight" and model.config.tie_embeddings)
    }
    dtype = str(next(iter(tensors.values())).dtype).removeprefix("torch.")
    write_json(folder / CONFIG, to_hf(model.config, dtype=dtype, head=model.head_config))
    with whole_file(folder / WEIGHTS) as aside:
        save_file(tensors, aside, metadata={"format": "pt"})


def read(folder: Path) -> Model:
    """Read a folder written here or by transformers 4 or 5, in the dtype of its tensors.

    Names may start with `model.` or not; the head is the one that config.json names.

    Raises:
        CheckpointError: a file is missing or broken, or does not fit config.json.
    """
    keys = _json(folder / CONFIG)
    config = from_hf(keys)
    found = {_plain(name): tensor for name, tensor in _tensors(folder)}
    model = empty(config, head_from_hf(keys, found))
    _fill(model, found, folder)
    return model


def remove_shards(folder: Path) -> None:
    """Remove weights that an older model left beside those just written."""
    for path in (*folder.glob("model-*.safetensors"), folder / INDEX):
        path.unlink(missing_ok=True)


def read_config(folder: Path) -> EncoderConfig:
    """Read the shape alone, which costs no memory."""
    return from_hf(_json(folder / CONFIG))


def read_keys(folder: Path) -> dict[str, Any]:
    """Read config.json as it stands.

    Raises:
        CheckpointError: it is missing or no JSON object.
    """
    return _json(folder / CONFIG)


def headers(folder: Path) -> dict[str, Tensor]:
    """Read names, shapes and formats of the weights alone, as tensors that hold nothing.

    Names are Hugging Face's, without `model.`.

    Raises:
        CheckpointError: a file is missing or broken, or in a format that is not computed in.
    """
    found = {}
    for file in _files(folder):
        for name in file.keys():  # noqa: SIM118
            part = file.get_slice(name)
            if (stored := part.get_dtype()) not in _DTYPES:
                raise CheckpointError(
                    f"{folder}: {name} is stored as {stored}, and only {', '.join(_DTYPES)} can be "
                    "read: give the weights in one of these"
                )
            found[_plain(name)] = torch.empty(
                part.get_shape(), dtype=_DTYPES[stored], device="meta"
            )
    return found


def hf_name(name: str) -> str:
    """Return Hugging Face's name of one of our parameters."""
    ours, theirs = next(pair for pair in _PREFIXES if name.startswith(pair[0]))
    return theirs + name.removeprefix(ours)


def _plain(name: str) -> str:
    return name.removeprefix("model.")


def _fill(model: Model, found: Mapping[str, Tensor], folder: Path) -> None:
    wanted = {_plain(hf_name(name)): name for name, _ in model.named_parameters()}
    _check_names(wanted.keys(), found.keys(), folder)
    dtype = found["final_norm.weight"].dtype
    model.to(dtype)
    model.tie()
    for name, ours in wanted.items():
        weight, stored = model.get_parameter(ours), found[name]
        if weight.shape != stored.shape:
            raise CheckpointError(
                f"{folder}: {name} has shape {list(stored.shape)}, config.json asks for "
                f"{list(weight.shape)}: the two files do not belong together"
            )
        weight.data.copy_(stored)


def _check_names(wanted: Iterable[str], found: Iterable[str], folder: Path) -> None:
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise CheckpointError(
            f"{folder} lacks {len(missing)} tensors that config.json asks for: {listed(missing)}"
        )
    extra = sorted(n for n in set(found) - set(wanted) if n.startswith("layers."))
    if extra:
        raise CheckpointError(
            f"{folder} has {len(extra)} tensors that config.json does not know: {listed(extra)}"
        )


def listed(names: list[str]) -> str:
    """Name the first few; a model of another shape lacks hundreds."""
    shown = ", ".join(names[:_NAMED_AT_MOST])
    return shown if len(names) <= _NAMED_AT_MOST else f"{shown}, ..."


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    for file in _files(folder):
        yield from ((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118


def _files(folder: Path) -> Iterator[Any]:
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                yield file
        except FileNotFoundError as error:
            raise CheckpointError(f"{path} is missing: {INDEX} names it") from error
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path} is broken ({error}): copy or download it again"
            ) from error


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold a folder's weights.

    Raises:
        CheckpointError: there are none.
    """
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if (folder / INDEX).exists():
        return [folder / name for name in sorted(set(_json(folder / INDEX)["weight_map"].values()))]
    way_out = "give a model folder with safetensors"
    if (pickled := folder / "pytorch_model.bin").exists():
        way_out = f"`modernbert convert {pickled} NEW` makes one that does"
    raise CheckpointError(f"{folder} has no {WEIGHTS}: {way_out}")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing: give a folder that holds a model") from error
    except (JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not JSON ({error}): copy it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} does not hold a JSON object: copy it again")
    return content
