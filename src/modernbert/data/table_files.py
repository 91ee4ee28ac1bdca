"""A file or folder of examples in, the files of one of its parts out.

Folders are those that `datasets` saved (`save_to_disk`) or would load (`load_dataset`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from modernbert.base.errors import DataError, reason_of
from modernbert.base.files import read_json

Part = Literal["train", "dev", "test"]

_SPLITS: dict[Part, tuple[str, ...]] = {
    "train": ("train", "training"),
    "dev": ("validation", "valid", "dev", "devel", "val"),
    "test": ("test", "testing"),
}
_PACKINGS = (".gz", ".zst")
_SAVED, _SAVED_SPLITS = "state.json", "dataset_dict.json"
_KINDS = {
    "csv": "csv",
    "tsv": "tsv",
    "jsonl": "lines",
    "ndjson": "lines",
    "json": "json",
    "parquet": "parquet",
    "arrow": "arrow",
}


Names = Mapping[str, tuple[str, ...]]
"""Names of labels that are written as numbers, by column."""


def part_of(path: Path, part: Part) -> tuple[list[Path], Names]:
    """Return the files of a part, and the names of labels where the folder says them.

    Raises:
        DataError: nothing of a known kind is there.
    """
    if path.is_file():
        kind_of(path)
        return [path], {}
    if path.exists() and not path.is_dir():
        raise DataError(f"{path} is a pipe, and is read more than once: write it to a file first")
    if not path.is_dir():
        raise DataError(f"{path} does not exist: give a file or a folder with examples")
    folder = _saved_part(path, part)
    if folder is not None:
        return _saved_files(folder), _saved_names(folder)
    return _loadable(path, part), {}


def holds_part(path: Path, part: Part) -> bool:
    """Return whether something is a folder of several parts, this one among them."""
    if not path.is_dir() or (path / _SAVED).is_file():
        return False
    try:
        part_of(path, part)
    except DataError:
        return False
    return True


def kind_of(path: Path) -> str:
    """Tell from the name what a file of examples is.

    Raises:
        DataError: it is none that is known.
    """
    name = path.name.lower()
    for packing in _PACKINGS:
        name = name.removesuffix(packing)
    kind = _KINDS.get(name.rpartition(".")[2], "")
    if not kind:
        raise DataError(
            f"{path} is of no known kind: give .{', .'.join(_KINDS)}, or a folder of datasets"
        )
    return kind


def _saved_part(path: Path, part: Part) -> Path | None:
    """Return the folder that `save_to_disk` made of one part, None where it made none."""
    if (path / _SAVED).is_file():
        return path
    if not (path / _SAVED_SPLITS).is_file():
        return None
    for name in _SPLITS[part]:
        if (path / name / _SAVED).is_file():
            return path / name
    raise DataError(f"{path} has no part {' or '.join(_SPLITS[part])}: give the folder of one part")


def _saved_files(folder: Path) -> list[Path]:
    listed = _object(folder / _SAVED).get("_data_files")
    names = [each.get("filename") for each in listed or [] if isinstance(each, dict)]
    files = [folder / Path(str(name)).name for name in names]
    if not files or not all(path.is_file() for path in files):
        raise DataError(f"{folder} lacks files that its {_SAVED} names: copy it again")
    return files


def _saved_names(folder: Path) -> Names:
    features = _object(folder / "dataset_info.json").get("features")
    found = {}
    for column, feature in (features if isinstance(features, dict) else {}).items():
        inner = feature.get("feature", feature) if isinstance(feature, dict) else {}
        if isinstance(inner, dict) and isinstance(inner.get("names"), list):
            found[column] = tuple(map(str, inner["names"]))
    return found


def _object(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({reason_of(error)}): copy it again") from error
    return content if isinstance(content, dict) else {}


def _loadable(path: Path, part: Part) -> list[Path]:
    """List files that `load_dataset` would take for a part: by the beginning of their names."""
    there = sorted(file for file in (*path.glob("*"), *path.glob("data/*")) if _is_known(file))
    for name in _SPLITS[part]:
        files = [file for file in there if file.name.lower().startswith(name)]
        if files:
            return files
    raise DataError(
        f"{path} holds no file whose name begins with {' or '.join(_SPLITS[part])}: name the file"
    )


def _is_known(path: Path) -> bool:
    try:
        return path.is_file() and bool(kind_of(path))
    except DataError:
        return False
