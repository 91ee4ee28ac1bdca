"""A path, an installed model's name or a hub id in, a folder with its files out."""

import os
import stat
from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import entry_points
from pathlib import Path
from typing import NoReturn

from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.infer.export.record import NAME, PLACES
from modernbert.infer.told import Runtime
from modernbert.model.stored import PICKLE

_FILES = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
)
# Modules of sentence-transformers lie in folders such as 1_Pooling. Other formats of the same
# weights, which many repositories hold beside these, would only cost time.
WANTED = (
    *_FILES,
    *(f"[0-9]_*/{name}" for name in _FILES),
    f"[0-9]_Dense/{PICKLE}",  # how its weights were kept before safetensors
)
"""Patterns of the files that decide what a model computes."""

_ENTRIES = "modernbert.models"
_OURS = {"mini": "modernbert-mini"}
"""Models with a package of their own, which need not be installed."""


def folder_of(
    path_or_hub_id: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    runtime: Runtime = "torch",
) -> Path:
    """Return the folder of that name, that of an installed model, or one with what the hub has.

    Installed packages offer models as entry points of the group `modernbert.models`: a name, and
    the path of a folder. Other names are ids on the Hugging Face hub, and may carry a revision:
    `owner/name@revision`. What was downloaded once is taken from the hub's cache when the hub is
    out of reach. Without a token, HF_TOKEN or the saved login is used. Of a graph, its own files
    are downloaded in place of weights.

    Raises:
        CheckpointError: there is no such folder, or the hub does not give it.
        ConfigError: what is given is no name.
    """
    if not isinstance(path_or_hub_id, str | os.PathLike):
        raise ConfigError(
            f"the model is of type {type(path_or_hub_id).__name__}: give its folder, or its name "
            "on the hub"
        )
    if not str(path_or_hub_id):
        raise CheckpointError("the model's name is empty: write . for this folder")
    path = Path(path_or_hub_id)
    try:
        mode = path.stat().st_mode
    except PermissionError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from error
    except (OSError, ValueError):  # not there, or no path: perhaps a hub id
        found = _installed(str(path_or_hub_id))
        if found is not None:
            return found
        return _downloaded(*_one_revision(str(path_or_hub_id), revision), token, runtime)
    if not stat.S_ISDIR(mode):
        raise CheckpointError(f"{path} is a file: give the folder that holds the model")
    if revision is not None:
        raise CheckpointError(
            f"{path} is a folder, and only the hub has revisions: leave {revision!r} out"
        )
    return path


def _installed(name: str) -> Path | None:
    for entry in entry_points(group=_ENTRIES, name=name):
        return Path(entry.load())
    if name in _OURS:
        raise CheckpointError(
            f"the model {name} is in a package of its own: pip install {_OURS[name]}, or in a copy "
            f"of the repository ./packages/{name}"
        )
    return None


def split_revision(hub_id: str) -> tuple[str, str | None]:
    """Tell a model's id from the branch, tag or commit that may follow it after an `@`."""
    name, _, revision = hub_id.partition("@")
    return name, revision or None


def _one_revision(name: str, revision: str | None) -> tuple[str, str | None]:
    hub_id, told = split_revision(name)
    if not hub_id:
        raise CheckpointError(f"there is no folder {name!r}, and it is no hub id (owner/name)")
    if revision and told and revision != told:
        raise CheckpointError(
            f"{name} names another revision than {revision!r}: leave one of the two out"
        )
    return hub_id, revision or told


def _downloaded(hub_id: str, revision: str | None, token: str | None, runtime: Runtime) -> Path:
    if hub_id.count("/") > 1 or hub_id.startswith((".", "/", "~")) or os.sep * 2 in hub_id:
        raise CheckpointError(f"there is no folder {hub_id}, and it is no hub id (owner/name)")
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            hub_id, revision=revision, token=token, allow_patterns=_wanted(runtime)
        )
    except Exception as error:  # those of the library's HTTP client share no base with the others
        _refuse(hub_id, revision, error)
    return Path(found)


def _wanted(runtime: Runtime) -> list[str]:
    if runtime == "torch":
        return [*WANTED]
    if runtime == "int8":
        return [*WANTED, NAME, PLACES[runtime]]
    graph = Path(PLACES[runtime]).with_suffix(".*").as_posix()
    return [*(name for name in WANTED if not name.startswith("model")), NAME, graph]


def dataset_folder(hub_id: str, wanted: Sequence[str]) -> Path:
    """Return a folder with some files of a data set on the hub, or from its cache.

    Raises:
        CheckpointError: the hub does not give it.
    """
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(hub_id, repo_type="dataset", allow_patterns=list(wanted))
    except Exception as error:  # those of the library's HTTP client share no base with the others
        _refuse(hub_id, None, error, kind="data set")
    return Path(found)


def _refuse(hub_id: str, revision: str | None, error: Exception, kind: str = "model") -> NoReturn:
    """Say why a download failed; nothing that is not whole is ever in the cache's folder."""
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    if isinstance(error, HFValidationError):
        raise CheckpointError(
            f"there is no folder {hub_id}, and it is no hub id (owner/name)"
        ) from error
    answer = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
    _refuse_answer(hub_id, revision, answer, kind)
    if isinstance(error, LocalEntryNotFoundError):
        raise CheckpointError(
            f"{hub_id} is neither a folder nor whole in the hub's cache, and the hub is out of "
            "reach: check the path, or the network"
        ) from error
    if isinstance(error, OSError) and error.errno is not None:
        raise CheckpointError(
            f"{hub_id} cannot be written to the hub's cache ({error.strerror}): make room, or name "
            "another folder in HF_HOME"
        ) from error
    if not ENDPOINT.startswith(("http://", "https://")):
        raise CheckpointError(
            f"HF_ENDPOINT is {ENDPOINT!r}: give an address that begins with https://, or unset it"
        ) from error
    raise CheckpointError(
        f"the download of {hub_id} broke off ({_first_line(error)}): repeat the command"
    ) from error


def _refuse_answer(
    hub_id: str, revision: str | None, error: BaseException | None, kind: str
) -> None:
    """Say what the hub answered, if it did."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        raise CheckpointError(
            f"{hub_id} is gated: ask for access on its page, then give your token in HF_TOKEN"
        ) from error
    if isinstance(error, RepositoryNotFoundError):
        raise CheckpointError(
            f"the hub has no {kind} {hub_id}, or it is private: check the name, or give a token in "
            "HF_TOKEN"
        ) from error
    if isinstance(error, RevisionNotFoundError):
        raise CheckpointError(
            f"{hub_id} has no revision {revision!r}: give a branch, a tag or a commit"
        ) from error
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        code = error.response.status_code
        if code == HTTPStatus.UNAUTHORIZED:
            raise CheckpointError(
                f"the hub does not take this token for {hub_id}: give another one, or none"
            ) from error
        if code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            way = "repeat the command later"
        else:
            way = "check the name, HF_TOKEN and HF_ENDPOINT"
        raise CheckpointError(
            f"the hub does not give {hub_id} ({_first_line(error)}): {way}"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
