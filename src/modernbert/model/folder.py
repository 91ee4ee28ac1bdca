"""Model folders that transformers opens: a model to config.json and safetensors, and back."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from modernbert.base.errors import CheckpointError
from modernbert.base.files import write_json
from modernbert.base.log import count
from modernbert.model.config import EncoderConfig
from modernbert.model.count import parameters
from modernbert.model.hf_config import from_hf, to_hf
from modernbert.model.hf_head import head_from_hf
from modernbert.model.init import outline
from modernbert.model.model import Model
from modernbert.model.stored import (
    CONFIG,
    DTYPES,
    INDEX,
    plain,
    read_object,
    read_tensors,
    write_tensors,
)

# Our prefix, Hugging Face's prefix; the first match counts.
_PREFIXES = (
    ("encoder.", "model."),
    ("head.decoder.", "decoder."),
    ("head.classifier.", "classifier."),
    ("head.", "head."),
)
_NAMED_AT_MOST = 5


def write(model: Model, folder: Path, more: Mapping[str, Any] | None = None) -> None:
    """Write config.json and model.safetensors; an existing folder keeps its other files.

    `more` are keys of config.json that say nothing of the model itself.

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
    keys = to_hf(model.config, dtype=dtype, head=model.head_config)
    write_json(folder / CONFIG, keys | dict(more or {}))
    write_tensors(tensors, folder)


def read(folder: Path) -> Model:
    """Read a folder written here or by transformers 4 or 5, in the dtype of its tensors.

    Names may start with `model.` or not; the head is the one that config.json names.

    Raises:
        CheckpointError: a file is missing or broken, or does not fit config.json.
    """
    keys = read_object(folder / CONFIG)
    config = from_hf(keys)
    found = {plain(name): tensor for name, tensor in read_tensors(folder)}
    _check_size(config, found, folder)
    model = outline(config, head_from_hf(keys, found))
    wanted = {plain(hf_name(name)): weight for name, weight in model.named_parameters()}
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
    return from_hf(read_object(folder / CONFIG))


def hf_name(name: str) -> str:
    """Return Hugging Face's name of one of our parameters."""
    ours, theirs = next(pair for pair in _PREFIXES if name.startswith(pair[0]))
    return theirs + name.removeprefix(ours)


def _fill(model: Model, found: Mapping[str, Tensor]) -> None:
    model.to_empty(device="cpu").to(found["final_norm.weight"].dtype)
    model.tie()
    for name, weight in model.named_parameters():
        weight.data.copy_(found[plain(hf_name(name))])


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
    if stored.dtype not in DTYPES.values():
        known = ", ".join(map(str, DTYPES.values()))
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
