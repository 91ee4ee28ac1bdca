"""A model by name in, a name of what it computes out: equal names, equal vectors."""

from modernbert.base.files import digest, digest_of
from modernbert.infer.hub import WANTED, folder_of


def fingerprint_of_model(model: str) -> str:
    """Name what a model computes, by the files of its folder that decide it.

    Raises:
        CheckpointError: there is no such folder, or the hub does not give it.
    """
    folder = folder_of(model)
    paths = sorted({path for pattern in WANTED for path in folder.glob(pattern) if path.is_file()})
    parts = [f"{path.relative_to(folder).as_posix()}:{digest_of(path)}" for path in paths]
    return digest("\n".join(parts).encode())
