"""A model in, a folder that other runtimes open, each graph with its proof, out.

OUT/export.json    what was exported, digests of its files, how far it is from the model
OUT/int8/          model.safetensors, for this package
OUT/onnx/          model.onnx, model_quantized.onnx
OUT/openvino/      openvino_model.xml, openvino_model_qint8_quantized.xml, weights beside each
OUT/config.json, tokenizer.json, modules.json ...   what every library reads beside them
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from modernbert.base import files, machine
from modernbert.base.errors import CheckpointError, ConfigError, MachineError
from modernbert.base.lock import LOCK, alone
from modernbert.base.log import say
from modernbert.data.tokenizer import Ids
from modernbert.infer.export.documents import read_for_proof
from modernbert.infer.export.proving import (
    MOST_LOST,
    Bounds,
    Metric,
    as_run,
    prove,
    usual_cosine,
)
from modernbert.infer.export.record import (
    NAME,
    PLACES,
    Export,
    Form,
    Written,
    read_export,
    write_export,
)
from modernbert.infer.export.running import inputs, open_form
from modernbert.infer.export.writing import (
    openvino_to_int8,
    to_int8,
    to_openvino,
    write_onnx,
)
from modernbert.infer.fingerprint import digests_around, fingerprint_of_model
from modernbert.infer.hub import folder_of
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import Text
from modernbert.model.int8 import write_rounded

_ASIDE = ".partial-"
_ONNX, _OPENVINO = ("onnx", "onnxscript", "onnxruntime"), ("onnx", "onnxscript", "openvino")
_PACKAGES: dict[Form, tuple[str, ...]] = {
    "int8": (),
    "onnx": _ONNX,
    "onnx-int8": _ONNX,
    "openvino": _OPENVINO,
    "openvino-int8": (*_OPENVINO, "nncf"),
}
_VERSIONS = ("onnx", "onnxruntime", "onnxscript", "openvino", "nncf")


class RefusedError(CheckpointError):
    """Graphs are further from the model than they may be, and were not kept; `kept` has others."""

    def __init__(self, kept: Export, said: str) -> None:
        super().__init__(said)
        self.kept = kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be written."""

    forms: tuple[Form, ...]
    least_cosine: float = 0.0
    """What every graph's cosine to the model must reach; 0 takes what is usual for its form."""
    most_lost: float = MOST_LOST
    """What a graph may lose of the metric."""


def export_model(
    name: str,
    model: Pretrained,
    texts: Sequence[Text],
    asked: Asked,
    out: Path,
    metric: Metric | None = None,
) -> Export:
    """Write graphs of a model, and prove each on texts or pairs before it is given its name.

    `name` is what it was opened by; its own folder may be OUT, whose weights then have graphs
    beside them. Graphs that OUT has of the same model stay.

    Raises:
        RefusedError: a graph is further from the model than it may be.
        ConfigError: OUT holds another model's export, or something else.
        DataError: there is no text, or one holds what is no character.
        MachineError: a package is missing, the disk is full or the folder cannot be written.
    """
    _need(asked.forms)
    late = model.sentence.config.late
    if late is not None and late.has_unseen and set(asked.forms) != {"int8"}:
        say(
            "queries are filled up with tokens that no other sees: a graph reads documents alone, "
            "so index and search take the model itself, or --runtime int8"
        )
    model = model.float()
    is_own = out.resolve() == folder_of(name).resolve()
    begun = _begun(name, model, out, is_own=is_own)
    documents = read_for_proof(model, texts)
    with (
        files.promised_folder(out),
        alone(out, "written to"),
        TemporaryDirectory(dir=out, prefix=_ASIDE) as place,
    ):
        if is_own and not begun.graphs and (out / NAME).is_file():
            _remove_graphs(out)
        work, refused = _Work(model, documents, Path(place)), []
        for form in asked.forms:
            least = asked.least_cosine or usual_cosine(model, form)
            bounds = Bounds(least, asked.most_lost)
            try:
                written = _written(begun, work, form, (bounds, metric), out)
            except _BoundError as error:
                refused.append(str(error))
                continue
            if not is_own:
                _write_around(model, out)
            begun = replace(begun.with_graph(form, written), around=digests_around(out))
            write_export(begun, out)
        if refused:
            kept = f"; {out} has {', '.join(begun.graphs)}" if begun.graphs else ""
            raise RefusedError(
                begun,
                f"{'; '.join(refused)}: allow more with --least-cosine or --most-lost, or take "
                f"another form{kept}",
            )
    return begun


def _begun(name: str, model: Pretrained, out: Path, *, is_own: bool) -> Export:
    fresh = Export(
        model=fingerprint_of_model(name),
        encoder=model.config,
        head=model.model.head_config,
        versions=machine.versions(*_VERSIONS),
    )
    is_new = not out.is_dir() or all(map(_is_leftover, out.iterdir()))
    if is_new or (is_own and not (out / NAME).is_file()):
        return fresh
    try:
        before = read_export(out)
    except CheckpointError as error:
        if is_own:
            return fresh
        raise ConfigError(f"{out} holds something else ({error}): give a new folder") from error
    if (before.model, before.head) == (fresh.model, fresh.head):
        return before
    if not is_own or before.model == fresh.model:
        raise ConfigError(f"{out} holds an export of another model or head: give a new folder")
    return fresh


def _remove_graphs(out: Path) -> None:
    """Remove graphs of what the weights beside them were: nobody else would see that they are."""
    for target in (out / place for place in PLACES.values()):
        for path in target.parent.glob(f"{target.stem}.*"):
            say(f"{path} is of other weights than lie beside it: removed")
            path.unlink()
    (out / NAME).unlink(missing_ok=True)


def _is_leftover(path: Path) -> bool:
    """Return whether something is what a process left that was killed as it exported."""
    return path.name == LOCK or path.name.startswith(_ASIDE)


def _need(forms: Sequence[Form]) -> None:
    """Refuse what cannot be written before any of it is.

    Raises:
        MachineError: a package is not installed.
    """
    wanted = sorted({package for form in forms for package in _PACKAGES[form]})
    missing = [package for package in wanted if find_spec(package) is None]
    if missing:
        raise MachineError(
            f"this export needs {', '.join(missing)}: pip install 'modernbert[export]'"
        )


class _BoundError(CheckpointError):
    """A graph is further from the model than it may be."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What forms are made of."""

    model: Pretrained
    documents: Sequence[Ids]
    """What they are proven on."""
    place: Path
    """Where they are made."""

    def graph(self, *, is_for_int8: bool) -> Path:
        """Return the model's graph of ONNX, which takes the most time, made once."""
        path = self.place / f"graph{'-even' * is_for_int8}" / "model.onnx"
        if not path.exists():
            path.parent.mkdir()
            write_onnx(self.model.model, path, is_for_int8=is_for_int8)
        return path


def _written(
    begun: Export, work: _Work, form: Form, wanted: tuple[Bounds, Metric | None], out: Path
) -> Written:
    """Write one form aside, prove it, and put it where it belongs.

    Raises:
        _BoundError: it broke a bound.
    """
    target = out / PLACES[form]
    aside = work.place / form / target.name
    aside.parent.mkdir()
    say(f"{form}: to be written, and held against the model on {len(work.documents)} texts")
    _write(work, form, aside)
    opened = as_run(work.model, open_form(aside, form, begun), form)
    proof = prove(work.model, opened, work.documents, *wanted)
    if failure := proof.failure():
        raise _BoundError(f"{form} was not kept: {failure}")
    files.make_folder(target.parent)
    names = [each.name for each in sorted(aside.parent.iterdir())]
    for name in names:
        (aside.parent / name).replace(target.parent / name)
    paths = [target.parent / name for name in names]
    return Written(
        files={path.relative_to(out).as_posix(): files.digest_of(path) for path in paths},
        size_bytes=sum(path.stat().st_size for path in paths),
        proof=proof,
    )


def _write(work: _Work, form: Form, target: Path) -> None:
    if form == "int8":
        write_rounded(work.model.model, target)
        return
    source = work.graph(is_for_int8=form.endswith("int8"))
    if form == "onnx":
        for path in source.parent.iterdir():
            shutil.copy(path, target.parent)
    elif form == "onnx-int8":
        to_int8(source, target)
    elif form == "openvino":
        to_openvino(source, target)
    else:
        whole = work.place / "whole.xml"
        to_openvino(source, whole)
        # Half of the texts, so that the other half proves what these did not decide.
        seen = work.documents[::2]
        rows = [torch.as_tensor(ids, dtype=torch.int64)[None] for ids in seen]
        head = work.model.model.head_config
        openvino_to_int8(whole, target, [inputs(head, row, torch.ones_like(row)) for row in rows])


def _write_around(model: Pretrained, out: Path) -> None:
    """Write what every library reads beside a graph: a model's folder without weights and card."""
    with files.filled_folder(out) as aside:
        model.save(aside / "whole")
        for path in sorted((aside / "whole").iterdir()):
            if not path.name.startswith(("model.", "model-", "README")):
                path.replace(aside / path.name)
        files.remove_folder(aside / "whole")
