"""Who else is running: ranks, sums over ranks, and what one of them decides for all.

Alone, nothing here does anything. Together, processes are those that torchrun started.
"""

import json
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor, distributed
from torch.distributed import distributed_c10d
from torch.distributed.rendezvous import rendezvous

from modernbert.base.errors import UserError
from modernbert.base.log import hushed

T = TypeVar("T")

_LOST = (
    "Connection closed",
    "Connection reset",
    "Broken pipe",
    "Socket closed",
    "NCCL",
    "Timed out",
)
"""What gloo and NCCL say when another process has ended."""
_PATIENCE_S = 20.0
"""How long to wait for the launcher, which ends all processes when one has failed."""


class _ElsewhereError(Exception):
    """Another process failed, and has said why."""


@contextmanager
def joined() -> Iterator[None]:
    """Join the processes that torchrun started beside this one; the first alone speaks.

    Where a process fails, its error is told to the launcher, and the others leave in silence.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    # Nobody answers a signal while waiting for another process, and the launcher is in a hurry.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        _join()
        with hushed() if rank() else nullcontext():
            yield
    except _ElsewhereError:
        _leave()
    except Exception as error:
        if isinstance(error, RuntimeError) and any(each in str(error) for each in _LOST):
            _leave()
        _tell_launcher(error)
        raise
    distributed.barrier()
    distributed.destroy_process_group()


def _join() -> None:
    store, number, size = next(iter(rendezvous("env://")))
    # A launcher that starts processes again keeps its store, and in it the addresses of those that
    # were killed before.
    attempt = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{size}"
    store = distributed_c10d.PrefixStore(f"modernbert/{attempt}", store)
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    distributed.init_process_group(backend, store=store, rank=number, world_size=size)


def _leave() -> NoReturn:
    """End without a word: whoever failed must be noticed first, and by then we are told to end."""
    time.sleep(_PATIENCE_S)
    os._exit(1)


def _tell_launcher(error: Exception) -> None:
    """Leave what the launcher prints of the process that failed first: a sentence, or a trace."""
    place = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if not place:
        return
    said = (
        str(error) if isinstance(error, UserError) else "".join(traceback.format_exception(error))
    )
    extra = {"py_callstack": said, "timestamp": str(int(time.time()))}
    told = {"message": {"message": str(error), "extraInfo": extra}}
    Path(place).write_text(json.dumps(told), encoding="utf-8")


def threads_of_each() -> int:
    """Return how many threads a process takes: torch's choice alone, else its share of the cores.

    The launcher lets torch take one where nobody said otherwise, and cores would be idle.
    """
    if not _is_shared():
        return torch.get_num_threads()
    cores = len(os.sched_getaffinity(0))
    return max(torch.get_num_threads(), cores // int(os.environ["LOCAL_WORLD_SIZE"]))


def is_restarted() -> bool:
    """Return whether the launcher has started these processes before."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def rank() -> int:
    """Return this process's number, 0 when alone."""
    return distributed.get_rank() if _is_shared() else 0


def is_first() -> bool:
    """Return whether this process writes and speaks for all."""
    return rank() == 0


def world_size() -> int:
    """Return how many processes train together, 1 when alone."""
    return distributed.get_world_size() if _is_shared() else 1


def total(values: list[float], device: torch.device) -> list[float]:
    """Add each value over all ranks, in float64."""
    return [sum(column) for column in zip(*gathered(values, device), strict=True)]


def gathered(values: list[float], device: torch.device) -> list[list[float]]:
    """Return the values of every rank, in float64, by rank."""
    if not _is_shared():
        return [values]
    mine = torch.tensor(values, dtype=torch.float64, device=device)
    everyone = [torch.empty_like(mine) for _ in range(world_size())]
    distributed.all_gather(everyone, mine)
    return [[float(value) for value in each.tolist()] for each in everyone]


def agreed(make: Callable[[], T]) -> T:
    """Let the first process make something, and give it to all; if it fails, all end."""
    if not _is_shared():
        return make()
    told: list[Any] = [None, True]
    failure: Exception | None = None
    if is_first():
        try:
            told = [make(), False]
        except Exception as error:
            failure = error
    distributed.broadcast_object_list(told)
    if failure is not None:
        raise failure
    if told[1]:
        raise _ElsewhereError
    made: T = told[0]
    return made


def by_first(make: Callable[[], T]) -> T | None:
    """Let the first process do something that the others wait for; None is what they get."""
    kept: list[T] = []
    agreed(lambda: kept.append(make()))
    return kept[0] if kept else None


def go_on_as(number: int) -> None:
    """Go on in one process alone, which is about to fail for all; the others end in silence."""
    if rank() != number:
        raise _ElsewhereError


def is_part(tensor: Tensor) -> bool:
    """Return whether other ranks hold the rest of a tensor."""
    if not _is_shared():
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def part_of(tensor: Tensor) -> Tensor:
    """Return what this rank holds of a tensor: all of it, unless it is divided."""
    part: Tensor = tensor.to_local() if is_part(tensor) else tensor  # type: ignore[attr-defined]
    return part


def whole_like(other: Tensor, part: Tensor) -> Tensor:
    """Return the whole of which every rank holds a part, divided as `other` is; all must ask."""
    if not is_part(other):
        return part
    whole: Tensor = _joined(other, part).full_tensor()
    return whole


def rows_like(other: Tensor, whole: Tensor) -> Tensor:
    """Return this rank's part of what all ranks hold whole, divided as `other` is."""
    return whole[_place(other)] if is_part(other) else whole


def part_like(other: Tensor, stored: Any) -> Tensor:
    """Return this rank's part of a tensor in a file, divided as `other` is; nothing else is read.

    `stored` is a slice of safetensors.
    """
    # What safetensors gives cannot be copied as DTensors are.
    found: Tensor = _joined(other, stored[_place(other)].clone().to(other.device))
    return found


def _place(other: Any) -> tuple[slice, ...]:
    """Return where in the whole this rank's part of a tensor is."""
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    sizes, starts = compute_local_shape_and_global_offset(
        other.shape, other.device_mesh, other.placements
    )
    return tuple(slice(at, at + size) for at, size in zip(starts, sizes, strict=True))


def _joined(other: Any, part: Tensor) -> Any:
    """Return a tensor of which this rank holds this part, divided as another is."""
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(
        part,
        other.device_mesh,
        other.placements,
        run_check=False,
        shape=other.shape,
        stride=other.stride(),
    )


def _is_shared() -> bool:
    return distributed.is_available() and distributed.is_initialized()
