"""A model by name in, a name of what it computes out: equal names, equal vectors."""

from collections.abc import Sequence
from pathlib import Path

from modernbert.base.files import digest, digest_of
from modernbert.infer.export.record import NAME
from modernbert.infer.hub import WANTED, folder_of
from modernbert.infer.told import Runtime


def fingerprint_of_model(model: str, runtime: Runtime = "torch") -> str:
    """Name what a model computes, by the files of its folder that decide it, and what runs it.

    Raises:
        CheckpointError: there is no such folder, or the hub does not give it.
    """
    folder = folder_of(model, runtime=runtime)
    # What proves a graph names the digest of each of its files.
    patterns = WANTED if runtime == "torch" else (*WANTED, NAME)
    parts = [f"{name}:{known}" for name, known in _digests(folder, patterns).items()]
    parts += [] if runtime == "torch" else [runtime]
    return digest("\n".join(parts).encode())


def digests_around(folder: Path) -> dict[str, str]:
    """Return the digest of each file that decides what texts become, but for the model's weights.

    Raises:
        MachineError: a file cannot be read.
    """
    return _digests(folder, [name for name in WANTED if not name.startswith("model")])


def _digests(folder: Path, patterns: Sequence[str]) -> dict[str, str]:
    paths = sorted(
        {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    )
    return {path.relative_to(folder).as_posix(): digest_of(path) for path in paths}
