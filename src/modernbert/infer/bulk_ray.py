"""Shards of documents in, each written by a process of a Ray cluster out: the one file of Ray."""

import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

from modernbert.base.errors import ConfigError, MachineError, UserError, reason_of
from modernbert.base.machine import cores
from modernbert.data.entries import Entry
from modernbert.infer.bulk_shard import Work, embed_shard

_RETRIES = 3
"""Times that a shard is given to another worker when its own was lost."""


def embed_shards(
    work: Work,
    shards: Iterable[tuple[int, Iterable[Entry]]],
    workers: int,
    report: Callable[[int], None],
) -> None:
    """Let a cluster write the shards: that of RAY_ADDRESS, or one that is started here.

    Documents of a shard for each worker, and one more, are in memory at once. `report` hears how
    many documents a finished shard had.

    Raises:
        ConfigError: the cluster has not as many processors as a worker shall have threads.
        MachineError: Ray is missing, there is no cluster, or a shard's workers are lost again and
            again.
        UserError: whatever a worker refuses.
    """
    with _cluster() as ray:
        needs, room = _room(ray.cluster_resources(), work)
        task = ray.remote(embed_shard).options(max_retries=_RETRIES, **needs)
        waiting: list[Any] = []
        for number, documents in shards:
            waiting.append(task.remote(work, number, list(documents)))
            if len(waiting) > (workers or room):
                waiting = _waited(ray, waiting, report)
        while waiting:
            waiting = _waited(ray, waiting, report)


def _waited(ray: Any, waiting: list[Any], report: Callable[[int], None]) -> list[Any]:
    """Wait for a shard, and return those that are left."""
    done, left = ray.wait(waiting)
    try:
        for each in done:
            report(ray.get(each))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        first = reason_of(error).partition(". ")[0]
        raise MachineError(
            f"a shard's worker was lost {_RETRIES + 1} times ({first}): give it more memory or "
            "fewer --shard-documents, and repeat the command"
        ) from error
    return list(left)


def _room(there: dict[str, float], work: Work) -> tuple[dict[str, float], int]:
    """Return what a worker asks of the cluster, and how many of them it has room for."""
    processors, gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
    if work.threads > processors:
        raise ConfigError(
            f"--threads is {work.threads}: the cluster has {processors} processors, give no more"
        )
    room = processors // work.threads
    if not gpus or work.device == "cpu":
        return {"num_cpus": work.threads, "num_gpus": 0}, room
    return {"num_cpus": work.threads, "num_gpus": 1}, min(room, gpus)


@contextmanager
def _cluster() -> Iterator[Any]:
    """Join or start a cluster that says nothing and reports to nobody; leave or end it after.

    Raises:
        MachineError: Ray is missing, or there is no cluster.
    """
    # Looked at when Ray is imported, and by the processes that it starts.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MachineError("--engine ray needs Ray: pip install 'modernbert[ray]'") from error
    address = os.environ.get("RAY_ADDRESS")
    there = {"address": address} if address else {"address": "local", "num_cpus": cores()}
    heard = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            **there, include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL
        )
        if current_thread() is main_thread():
            # Its own way to hear it writes a report and leaves processes behind.
            signal.signal(signal.SIGTERM, heard)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise MachineError(
            f"there is no Ray cluster at {address or 'hand'} ({reason_of(error)}): see RAY_ADDRESS"
        ) from error
    try:
        yield ray
    finally:
        # Work that nobody waits for any more ends with its driver.
        ray.shutdown()
