"""Model folders that transformers opens: a model to config.json and safetensors, and back."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from modernbert.base.errors import CheckpointError
from modernbert.base.files import read_json, whole_file, write_json
from modernbert.base.log import count
from modernbert.model.config import EncoderConfig
from modernbert.model.count import parameters
from modernbert.model.hf_config import from_hf, to_hf
from modernbert.model.hf_head import head_from_hf
from modernbert.model.init import outline
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
    _check_size(config, found, folder)
    model = outline(config, head_from_hf(keys, found))
    wanted = {_plain(hf_name(name)): weight for name, weight in model.named_parameters()}
    _check_names(wanted.keys(), found.keys(), folder)
    for name, weight in wanted.items():
        _check(name, found[name], list(weight.shape), folder)
    _fill(model, found)
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


def _fill(model: Model, found: Mapping[str, Tensor]) -> None:
    model.to_empty(device="cpu").to(found["final_norm.weight"].dtype)
    model.tie()
    for name, weight in model.named_parameters():
        weight.data.copy_(found[_plain(hf_name(name))])


def _check_size(config: EncoderConfig, found: Mapping[str, Tensor], folder: Path) -> None:
    """Refuse absurd sizes before anything is built by them: what is just wrong is named later."""
    asked = parameters(config, head=False)
    held = sum(tensor.numel() for tensor in found.values())
    if asked > 2 * held:
        raise CheckpointError(
            f"config.json asks for an encoder of {count(asked)} weights, {folder} has "
            f"{count(held)}: the two files do not belong together"
        )


def _check(name: str, stored: Tensor, shape: list[int], folder: Path) -> None:
    if list(stored.shape) != shape:
        raise CheckpointError(
            f"{folder}: {name} has shape {list(stored.shape)}, config.json asks for "
            f"{shape}: the two files do not belong together"
        )
    if stored.dtype not in _DTYPES.values():
        known = ", ".join(map(str, _DTYPES.values()))
        raise CheckpointError(
            f"{folder}: {name} holds {stored.dtype}, and only {known} can be read"
        )
    lowest, highest = stored.aminmax()
    if not (lowest.isfinite() and highest.isfinite()):
        raise CheckpointError(
            f"{folder}: {name} holds NaN or Inf, so every answer would be NaN: take an earlier "
            "checkpoint"
        )


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
        return [folder / name for name in _shards(folder / INDEX)]
    way_out = "give a model folder with safetensors"
    if (pickled := folder / "pytorch_model.bin").exists():
        way_out = f"`modernbert convert {pickled} NEW` makes one that does"
    raise CheckpointError(f"{folder} has no {WEIGHTS}: {way_out}")


def _shards(index: Path) -> list[str]:
    weight_map = _json(index).get("weight_map")
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


def _json(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing: give a folder that holds a model") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON ({error}): copy it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} does not hold a JSON object: copy it again")
    return content
