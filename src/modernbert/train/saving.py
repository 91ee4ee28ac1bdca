"""A run's state on many ranks in, one whole checkpoint out, written while training goes on.

Every rank writes its part (torch.distributed.checkpoint, as safetensors); the first then joins the
parts to the files that one process alone would have written. So a checkpoint does not say how many
ranks wrote it, and any number of them opens it.
"""

import shutil
import threading
import warnings
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, distributed

from modernbert.base import dist, files
from modernbert.data.tokenizer import Tokenizer
from modernbert.model.init import outline
from modernbert.model.model import Model
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.train import checkpoint
from modernbert.train.checkpoint import Keep, TrainerState, Whole
from modernbert.train.events import record

_PARTS = "parts"
_WEIGHT = "weight:"
"""Before a weight's name, so that no moment is taken for one."""


@final
class SharedSaving:
    """Writes the checkpoints of a run that several ranks train, one at a time."""

    def __init__(self, checkpoints: Path, keep: Keep, tokens: Tokenizer) -> None:
        self._checkpoints, self._keep, self._tokens = checkpoints, keep, tokens
        # Ranks meet in here while they also meet in training, which must not be mixed up.
        self._group = distributed.new_group(backend="gloo")
        self._written: Future[Any] | None = None
        self._joined: threading.Thread | None = None
        self._failure: BaseException | None = None

    def begin(self, model: Model, optimizer: StableAdamW, state: TrainerState) -> None:
        """Copy what moves, and write it from here on in the background.

        Raises:
            MachineError: the checkpoint before this one could not be written.
        """
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
        from torch.distributed.checkpoint.state_dict_saver import async_save

        self.finish()
        target = checkpoint.place(self._checkpoints, state.progress.step)
        undo = ExitStack()
        aside = dist.agreed(lambda: undo.enter_context(files.whole_folder(target)))
        moving = _moving(model, optimizer)
        writer = HuggingFaceStorageWriter(str(aside / _PARTS), save_distributed=True)
        written = async_save(moving, storage_writer=writer, process_group=self._group)
        assert isinstance(written, Future)
        self._written = written
        if dist.is_first():
            whole = {
                name: torch.empty(each.shape, dtype=each.dtype) for name, each in moving.items()
            }
            joining = _Joining(written, aside, _outline_like(model), whole)
            work = (joining, state, undo)
            self._joined = threading.Thread(target=self._join, args=work, daemon=True)
            self._joined.start()

    def check(self) -> None:
        """Say what went wrong in the background, if anything has.

        Raises:
            MachineError: the disk is full, or the folder cannot be written.
        """
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """Wait until what was begun is on disk.

        Raises:
            MachineError: the disk is full, or the folder cannot be written.
        """
        if self._joined is not None:
            self._joined.join()
        elif self._written is not None:
            self._written.exception()  # the first rank will say so
        self._joined = self._written = None
        dist.by_first(self.check)

    def _join(self, joining: "_Joining", state: TrainerState, undo: ExitStack) -> None:
        try:
            with undo:
                joining.write(state, self._tokens)
            record(self._checkpoints.parent, "checkpoint", state.progress)
            checkpoint.retire(self._checkpoints, self._keep)
        except BaseException as failure:
            self._failure = failure


@dataclass(frozen=True, slots=True)
class _Joining:
    """What the first rank makes of the parts of all."""

    written: Future[Any]
    aside: Path
    model: Model
    """Without weights."""
    whole: dict[str, Tensor]
    """Where the parts are put together."""

    def write(self, state: TrainerState, tokens: Tokenizer) -> None:
        """Wait for the parts, and write what they are parts of."""
        parts = self.aside / _PARTS
        self._read(parts)
        shutil.rmtree(parts)
        found = self.whole.items()
        moments = {name: each for name, each in found if not name.startswith(_WEIGHT)}
        weights = {name.removeprefix(_WEIGHT): each for name, each in found if name not in moments}
        self.model.load_state_dict(weights, strict=False, assign=True)
        self.model.tie()
        checkpoint.write(self.aside, Whole(self.model, moments, {}), state, tokens)

    def _read(self, parts: Path) -> None:
        from torch.distributed.checkpoint.api import CheckpointException
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
        from torch.distributed.checkpoint.state_dict_loader import load

        # It is one process that reads here, and on purpose.
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        try:
            self.written.result()
            load(self.whole, storage_reader=HuggingFaceStorageReader(str(parts)), no_dist=True)
        except CheckpointException as failures:
            # What it wraps says whether the disk is full.
            raise next(iter(failures.failures.values()))[0] from None


def _outline_like(model: Model) -> Model:
    """Return a model of the same shape and head, without weights."""
    made = outline(model.config, model.head_config)
    made.kept = model.kept
    return made


def _moving(model: Model, optimizer: StableAdamW) -> dict[str, Tensor]:
    weights = {f"{_WEIGHT}{name}": each.detach() for name, each in model.named_parameters()}
    return weights | checkpoint.moments_of(model, optimizer)
