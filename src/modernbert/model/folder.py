"""Model folders that transformers opens: a model to config.json and safetensors, and back."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modernbert.base.errors import CheckpointError
from modernbert.base.files import write_json
from modernbert.base.log import count
from modernbert.model.config import EncoderConfig, HeadConfig
from modernbert.model.count import parameters
from modernbert.model.heads import MaskedLMHead
from modernbert.model.hf_config import from_hf, to_hf
from modernbert.model.hf_head import head_from_hf
from modernbert.model.hf_kept import kept_of, with_kept
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
DECODER = "decoder.weight"
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
    keys = with_kept(keys, model.kept, model.head_config)
    write_json(folder / CONFIG, keys | dict(more or {}))
    write_tensors(tensors, folder)


def read(folder: Path) -> Model:
    """Read a folder written here or by transformers 4 or 5, in the dtype of its tensors.

    Names may start with `model.` or not; the head is the one that config.json names. Tensors
    that are of neither the encoder nor this head are left out, with a warning.

    Raises:
        CheckpointError: a file is missing or broken, or does not fit config.json.
    """
    keys = read_object(folder / CONFIG)
    found = _by_plain_name(folder)
    model = outline_of(keys, found, folder)
    for name in _names(model):
        check_values(name, found[name], folder)
    _check_tied(model, found, folder)
    implied = {DECODER} if model.config.tie_embeddings else set()
    if left := sorted(found.keys() - _names(model) - implied):
        warnings.warn(
            f"{folder} has {count(len(left))} tensors that this model does not use: {listed(left)}",
            stacklevel=2,
        )
    _fill(model, found)
    model.kept = kept_of(keys, model.head_config)
    return model


def outline_of(keys: Mapping[str, Any], found: Mapping[str, Tensor], folder: Path) -> Model:
    """Make the model that a folder is of, without memory, by its config's keys and its tensors.

    `found` has names without `model.`; names, shapes and formats are all that is looked at.

    Raises:
        CheckpointError: the keys cannot be used, or the tensors do not fit them.
    """
    config, head = config_and_head(keys, found, folder)
    _check_size(config, found, folder)
    model = outline(config, head)
    wanted = {plain(hf_name(name)): weight for name, weight in model.named_parameters()}
    _check_names(wanted.keys(), found.keys(), folder)
    for name, weight in wanted.items():
        _check_shape(name, found[name], list(weight.shape), folder)
    return model


def config_and_head(
    keys: Mapping[str, Any], found: Mapping[str, Tensor], folder: Path
) -> tuple[EncoderConfig, HeadConfig | None]:
    """Say what a folder's config.json asks for; of its tensors, those of a head are looked at.

    Raises:
        CheckpointError: the keys cannot be used.
    """
    with _naming(folder):
        return from_hf(keys), head_from_hf(keys, found)


def _by_plain_name(folder: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in read_tensors(folder):
        short = plain(name)
        if short in found and not torch.equal(found[short], tensor):
            raise CheckpointError(
                f"{folder} has {short} twice, with model. before it and without, and the two "
                "differ: remove the wrong one"
            )
        found[short] = tensor
    return found


def _names(model: Model) -> set[str]:
    return {plain(hf_name(name)) for name, _ in model.named_parameters()}


def _check_tied(model: Model, found: Mapping[str, Tensor], folder: Path) -> None:
    if not (isinstance(model.head, MaskedLMHead) and model.config.tie_embeddings):
        return
    table = found["embeddings.tok_embeddings.weight"]
    if not torch.equal(found.get(DECODER, table), table):
        raise CheckpointError(
            f"{folder} ties the decoder to the token vectors, and {DECODER} differs from them: "
            "set tie_word_embeddings to false in config.json, or remove that tensor"
        )


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Say which config.json a sentence speaks of."""
    try:
        yield
    except CheckpointError as error:
        if not str(error).startswith(CONFIG):
            raise
        raise type(error)(f"{folder}/{error}") from error


def remove_shards(folder: Path) -> None:
    """Remove weights that an older model left beside those just written."""
    for path in (*folder.glob("model-*.safetensors"), folder / INDEX):
        path.unlink(missing_ok=True)


def read_config(folder: Path) -> EncoderConfig:
    """Read the shape alone, which costs no memory."""
    with _naming(folder):
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
            f"{folder / CONFIG} asks for an encoder of {count(asked)} weights, {folder} has "
            f"{count(held)}: the two files do not belong together"
        )


def _check_shape(name: str, stored: Tensor, shape: list[int], folder: Path) -> None:
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


def check_values(name: str, stored: Tensor, source: Path) -> None:
    """Refuse weights that are no numbers.

    Raises:
        CheckpointError: one is NaN or Inf.
    """
    lowest, highest = stored.aminmax()
    if not (lowest.isfinite() and highest.isfinite()):
        raise CheckpointError(
            f"{source}: {name} holds NaN or Inf, and so would answers: take an earlier checkpoint"
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
