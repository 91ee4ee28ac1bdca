"""Model folders that transformers opens: a model to config.json and safetensors, and back."""

from collections.abc import Iterable, Iterator, Mapping
from json import JSONDecodeError
from pathlib import Path
from typing import Any

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


def write_tensors(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write model.safetensors as transformers marks it.

    Raises:
        MachineError: the disk is full or the folder cannot be written.
    """
    with whole_file(folder / WEIGHTS) as aside:
        save_file(dict(tensors), aside, metadata={"format": "pt"})


def read(folder: Path) -> Model:
    """Read a folder written here or by transformers 4 or 5, in the dtype of its tensors.

    Names may start with `model.` or not; the head is the one that config.json names.

    Raises:
        CheckpointError: a file is missing or broken, or does not fit config.json.
    """
    keys = read_object(folder / CONFIG)
    config = from_hf(keys)
    found = {_plain(name): tensor for name, tensor in read_tensors(folder)}
    model = empty(config, head_from_hf(keys, found))
    _fill(model, found, folder)
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
            f"{folder} lacks {len(missing)} tensors that config.json asks for: {_list(missing)}"
        )
    extra = sorted(n for n in set(found) - set(wanted) if n.startswith("layers."))
    if extra:
        raise CheckpointError(
            f"{folder} has {len(extra)} tensors that config.json does not know: {_list(extra)}"
        )


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED_AT_MOST])
    return shown if len(names) <= _NAMED_AT_MOST else f"{shown}, ..."


def read_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a folder's safetensors, with their names.

    Raises:
        CheckpointError: a file is missing or broken.
    """
    for path in _weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                yield from ((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118
        except FileNotFoundError as error:
            raise CheckpointError(f"{path} is missing: {INDEX} names it") from error
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path} is broken ({error}): copy or download it again"
            ) from error


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if (folder / INDEX).exists():
        return [
            folder / name
            for name in sorted(set(read_object(folder / INDEX)["weight_map"].values()))
        ]
    pickled = " (pytorch_model.bin is not read: it can run code)"
    raise CheckpointError(
        f"{folder} has no {WEIGHTS}"
        + (pickled if (folder / "pytorch_model.bin").exists() else "")
        + ": give a model folder with safetensors"
    )


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
    except (JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not JSON ({error}): copy it again") from error
