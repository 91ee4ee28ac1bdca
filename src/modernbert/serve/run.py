"""Settings in, a server that listens out, until it is told to end."""

import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, count
from pathlib import Path

import torch
import uvicorn

from modernbert.base.device import choose_device
from modernbert.base.errors import ConfigError, MachineError, reason_of
from modernbert.base.log import say
from modernbert.base.threads import alone, limit
from modernbert.infer.fingerprint import fingerprint_of_model
from modernbert.infer.hub import folder_of
from modernbert.infer.pretrained import Pretrained, load
from modernbert.infer.shared import AsyncEngine
from modernbert.infer.tuning import Fixed, tuned
from modernbert.retrieval.index import Index
from modernbert.serve import logs
from modernbert.serve.app import application
from modernbert.serve.metrics import Metrics
from modernbert.serve.served import Served, ServedIndex, Shelf
from modernbert.serve.settings import Settings

_BACKLOG = 2048
"""Connections that the system holds until they are taken, as uvicorn has it."""
_KEEP_ALIVE_S = 75
"""Longer than clients keep a connection without a request, or they would send into a closed one."""
_LOCAL = ("127.0.0.1", "::1", "localhost")


def serve(models: Sequence[str], settings: Settings, digests: Sequence[bytes] = ()) -> int:
    """Open models, listen, and answer until a signal says to end.

    Where there are digests of keys, requests have to name one of the keys.

    Raises:
        CheckpointError: a model or an index cannot be read.
        ConfigError: there is no model, or two of one name.
        MachineError: the device is not there, or the address cannot be listened at.
    """
    logs.set_up(settings.log_format, settings.log_level)
    metrics = Metrics()
    if not digests and settings.host not in _LOCAL:
        say(f"no key is asked for, and {settings.host} can be reached by others: set keys")
    # This thread answers and computes nothing: OpenMP is to start no threads for it.
    threads = torch.get_num_threads()
    limit(1)
    with _listening(settings) as door:
        shelf = alone(lambda: opened(models, settings, metrics, threads), threads)
        server: uvicorn.Server
        app = application(settings, shelf, metrics, digests, lambda: server.should_exit)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=settings.drain_s,
                timeout_keep_alive=_KEEP_ALIVE_S,
                server_header=False,
            )
        )
        door.listen(_BACKLOG)
        host, port = door.getsockname()[:2]
        say(f"listening at http://{f'[{host}]' if ':' in host else host}:{port}")
        # The signal that ends it is raised once more, when all has been answered.
        with suppress(SystemExit, KeyboardInterrupt):
            server.run(sockets=[door])
        for served in shelf.models:
            served.engine.close()
    say("ended")
    return 0


def opened(models: Sequence[str], settings: Settings, metrics: Metrics, threads: int) -> Shelf:
    """Open all models and indexes; a model that an index was built by is there once.

    Raises:
        CheckpointError: one cannot be read.
        ConfigError: there is no model, or two of one name.
    """
    given = dict(map(_named, models))
    if len(given) < len(models):
        raise ConfigError("two models would have one name: write NAME=PATH for one of them")
    if not (given or settings.index):
        raise ConfigError("there is nothing to serve: name a model, or --index FOLDER")
    engine_of = partial(_engine, settings=settings, metrics=metrics, threads=threads)
    searched, of_indexes = _searched(given, settings, engine_of)
    models_by_name = {each.name: each for each in of_indexes}
    for name, source in given.items():
        if name not in models_by_name:
            model = load(source, runtime=settings.runtime).to(choose_device(settings.device))
            models_by_name[name] = _served(name, source, engine_of(model))
    # In the order in which they were given; those of indexes alone come last.
    order = {**given, **models_by_name}
    return Shelf([models_by_name[name] for name in order], searched)


def _searched(
    given: Mapping[str, str], settings: Settings, engine_of: Callable[[Pretrained], AsyncEngine]
) -> tuple[list[ServedIndex], list[Served]]:
    """Open all indexes, and each model that they were built by once."""
    indexes = [(path, Index.open(path, device=settings.device)) for path in settings.index]
    known = (
        {fingerprint_of_model(source, settings.runtime): name for name, source in given.items()}
        if indexes
        else {}
    )
    found: dict[str, Served] = {}
    searched: list[ServedIndex] = []
    for path, index in indexes:
        facts = index.facts
        if facts.fingerprint not in found:
            taken = {*given, *(each.name for each in found.values())}
            name = known.get(facts.fingerprint) or _free(Path(facts.model).name, taken)
            beside = path / facts.model
            source = given.get(name) or str(beside.resolve() if beside.is_dir() else facts.model)
            found[facts.fingerprint] = _served(name, source, engine_of(index.model))
        name = _free(path.resolve().name, {each.name for each in searched})
        searched.append(ServedIndex(name, index, found[facts.fingerprint]))
    return searched, [*found.values()]


def _named(text: str) -> tuple[str, str]:
    """Return a model's name and where it is: NAME=PATH, or a path whose last part is its name."""
    name, sign, source = text.partition("=")
    if not sign or "/" in name:
        name, source = "", text
    if not source:
        raise ConfigError("a model's path is empty: write . for this folder")
    if not name:
        place = Path(source)
        name = place.resolve().name if place.is_dir() else source.partition("@")[0]
    return name, source


def _free(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: this one, or with a number behind it."""
    numbered = (f"{name}-{number}" for number in count(2))
    return next(each for each in chain([name], numbered) if each not in taken)


def _engine(
    model: Pretrained, *, settings: Settings, metrics: Metrics, threads: int
) -> AsyncEngine:
    fixed = Fixed(threads=settings.threads, batch_tokens=settings.batch_tokens)
    tuning = tuned(model, threads, fixed)
    most = settings.max_waiting_items
    return AsyncEngine(model, tuning=tuning, most_waiting=most, watch=metrics.batch)


def _served(name: str, source: str, engine: AsyncEngine) -> Served:
    say(
        f"{name}: {', '.join(engine.abilities) or 'vectors of tokens'}; {engine.model.computes}, "
        f"{engine.tuning.spelled}"
    )
    folder = folder_of(source, runtime=engine.model.runtime)
    # The hub's cache holds each commit in a folder of its name.
    sha = folder.name if folder.parent.name == "snapshots" else None
    created = max(int(file.stat().st_mtime) for file in folder.iterdir() if file.exists())
    return Served(name, source, engine, created, sha)


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Take the address before models are opened, so that a port in use is said at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio sends small replies at once only where the protocol is named.
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((settings.host, settings.port))
    except OSError as error:
        door.close()
        raise MachineError(
            f"cannot listen at {settings.host}, port {settings.port} ({reason_of(error)}): name "
            "another --host or --port"
        ) from error
    with door:
        yield door
