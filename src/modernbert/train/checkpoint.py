"""A run's state in, a folder out that `transformers` opens and this package resumes; and back.

A checkpoint is a model folder with a `trainer` folder inside: moments as safetensors, the place
in the run as JSON. Where adapters are trained the model is merged, and what moves lies beside the
moments. Nothing is pickled. A checkpoint is whole or absent: see `base.files`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from modernbert.base import dist, files
from modernbert.base.errors import CheckpointError
from modernbert.base.records import from_plain, to_plain
from modernbert.data.tokenizer import Tokenizer
from modernbert.model import sentence_writer, stored
from modernbert.model.model import Model
from modernbert.optim.stable_adamw import StableAdamW, remembered
from modernbert.train import lora
from modernbert.train.feed import Progress

FORMAT = 1
_OPTIMIZER = "trainer/optimizer.safetensors"
_TRAINED = "trainer/trained.safetensors"


@dataclass(frozen=True, slots=True)
class TrainerState:
    """What `trainer/state.json` holds."""

    progress: Progress
    optimizer_steps: int
    ends_phase: bool
    digests: dict[str, str] = field(default_factory=dict)
    """BLAKE2b of each file of tensors, so that a damaged checkpoint does not go on unnoticed."""
    format: int = FORMAT


def save(
    checkpoints: Path, model: Model, optimizer: StableAdamW, state: TrainerState, tokens: Tokenizer
) -> Path:
    """Write a checkpoint beside the others and return its folder.

    Raises:
        MachineError: it could not be written; earlier checkpoints are as they were.
    """
    target = place(checkpoints, state.progress.step)
    with files.whole_folder(target) as aside:
        whole = Whole(lora.merged(model), moments_of(model, optimizer), lora.trained(model))
        write(aside, whole, state, tokens)
    return target


@dataclass(frozen=True, slots=True)
class Whole:
    """Everything that moves, whole and in one process."""

    model: Model
    moments: dict[str, Tensor]
    """By the weights' names: `NAME.exp_avg` and `NAME.exp_avg_sq`; by Muon `NAME.momentum`."""
    adapters: dict[str, Tensor]
    """What moves where adapters are trained and the model is merged; else nothing."""


def write(folder: Path, whole: Whole, state: TrainerState, tokens: Tokenizer) -> None:
    """Fill a checkpoint's folder."""
    sentence_writer.write(whole.model, folder)
    tokens.save(folder, max_length=whole.model.config.max_length)
    (folder / "trainer").mkdir()
    save_file(whole.moments, folder / _OPTIMIZER)
    names = [stored.WEIGHTS, _OPTIMIZER]
    if whole.adapters:
        save_file(whole.adapters, folder / _TRAINED)
        names.append(_TRAINED)
    signed = replace(state, digests={name: files.digest_of(folder / name) for name in names})
    files.write_json(folder / "trainer" / "state.json", to_plain(signed))


def place(checkpoints: Path, step: int) -> Path:
    """Return the folder of a step's checkpoint; names sort as steps do."""
    return checkpoints / f"step-{step:08d}"


def found(checkpoints: Path) -> list[Path]:
    """Return the whole checkpoints of a run, oldest first."""
    return sorted(checkpoints.glob("step-*"))


def read_state(checkpoint: Path) -> TrainerState:
    """Read where a checkpoint stands.

    Raises:
        CheckpointError: it has no trainer state, or one of another format.
    """
    path = checkpoint / "trainer" / "state.json"
    if not path.exists():
        raise CheckpointError(
            f"{checkpoint} has no trainer state: training cannot go on from it; give a run, one of "
            "its checkpoints, or start from the weights alone by `--init-from`"
        )
    plain = read_record(path)
    return from_plain(TrainerState, plain)


def check(checkpoint: Path, state: TrainerState) -> None:
    """Compare a checkpoint's tensors with what was written.

    Raises:
        CheckpointError: a file is missing or was altered.
    """
    for name, told in state.digests.items():
        path = checkpoint / name
        if not path.is_file() or files.digest_of(path) != told:
            raise CheckpointError(
                f"{path} is missing or was altered since it was written: remove {checkpoint} to "
                "go on from the checkpoint before it"
            )


def read_record(path: Path) -> dict[str, Any]:
    """Read a JSON file that says its format.

    Raises:
        CheckpointError: it is broken, or of another format.
    """
    try:
        plain = files.read_json(path)
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON ({error}): copy it again") from error
    found = plain.get("format") if isinstance(plain, dict) else None
    if found != FORMAT:
        raise CheckpointError(
            f"{path} has format {found!r}, this version reads format {FORMAT}: "
            "use the version of modernbert that wrote it"
        )
    return dict(plain)


def remembers(checkpoint: Path) -> frozenset[str]:
    """Return what a checkpoint's optimizer remembers of weights; nothing before the first step.

    Raises:
        CheckpointError: the file is damaged.
    """
    with _opened(checkpoint / _OPTIMIZER) as moments:
        return frozenset(name.rpartition(".")[2] for name in moments.keys())  # noqa: SIM118


def restore_moments(checkpoint: Path, model: nn.Module, optimizer: StableAdamW) -> None:
    """Give an optimizer the moments and the step count of a checkpoint.

    Raises:
        CheckpointError: the file is damaged, or belongs to another model.
    """
    groups = optimizer.param_groups
    names = {weight: remembered(group) for group in groups for weight in group["params"]}
    with _opened(checkpoint / _OPTIMIZER) as moments:
        for name, weight in model.named_parameters():
            if not weight.requires_grad:
                continue  # frozen: nothing moves it
            optimizer.state[weight] = {
                each: _moment(moments, f"{name}.{each}", weight) for each in names[weight]
            }
    for group in optimizer.param_groups:
        group["step"] = read_state(checkpoint).optimizer_steps


@torch.no_grad()
def restore_trained(checkpoint: Path, model: nn.Module) -> None:
    """Give a model with adapters the weights that a checkpoint holds beside the merged ones.

    Raises:
        CheckpointError: the file is damaged, or belongs to another model.
    """
    moved = _loaded(checkpoint / _TRAINED)
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            if name not in moved or moved[name].shape != weight.shape:
                raise CheckpointError(
                    f"{checkpoint / _TRAINED} has no {name} of shape {tuple(weight.shape)}: "
                    "it belongs to another model"
                )
            weight.copy_(moved[name])


@dataclass(frozen=True, slots=True)
class Keep:
    """Which checkpoints stay on disk; the ends of phases do anyway, since runs branch from them."""

    newest: int
    every_tokens: int = 0
    """Tokens between those that stay for good; 0 keeps none."""


def retire(checkpoints: Path, keep: Keep) -> None:
    """Delete what need not be kept."""
    passing, reached = [], 0
    for each in found(checkpoints):
        state = read_state(each)
        period = state.progress.tokens // keep.every_tokens if keep.every_tokens else 0
        if period > reached:
            reached = period
        elif not state.ends_phase:
            passing.append(each)
    for old in passing[: -keep.newest]:
        files.remove_folder(old)


def _loaded(path: Path) -> dict[str, Tensor]:
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def moments_of(model: nn.Module, optimizer: StableAdamW) -> dict[str, Tensor]:
    """Return an optimizer's moments by the weights' names; none before the first step."""
    found = {
        f"{name}.{moment}": value.contiguous()
        for name, weight in model.named_parameters()
        if weight in optimizer.state
        for moment, value in optimizer.state[weight].items()
    }
    assert len(found) == sum(len(each) for each in optimizer.state.values())
    return found


def _moment(moments: Any, name: str, weight: Tensor) -> Tensor:
    if not moments.keys():
        return torch.zeros_like(weight)  # a checkpoint of step 0: nothing has moved yet
    if name not in moments.keys() or moments.get_slice(name).get_shape() != [*weight.shape]:  # noqa: SIM118
        raise CheckpointError(
            f"the optimizer's state has no {name} of shape {tuple(weight.shape)}: "
            "it belongs to another model, or to another optimizer"
        )
    if dist.is_part(weight):
        return dist.part_like(weight, moments.get_slice(name))
    found: Tensor = moments.get_tensor(name).to(weight.device)
    return found
