"""A teacher and plain text in, a folder with a small model that gives nearly its vectors out.

OUT/distill.json   what was asked for
OUT/lesson/        passages, and the teacher's vectors of them
OUT/start/         the student before it learned, where a new one was made
OUT/run/           how it learned; OUT/run/model is the result

Every stage leaves a whole result and is skipped when it is there: a second call goes on where the
first one stopped.
"""

from pathlib import Path

import torch

from modernbert.base import files
from modernbert.base.device import Autocast, choose_device
from modernbert.base.errors import CheckpointError, ConfigError, DataError
from modernbert.base.log import count, say
from modernbert.base.records import to_plain
from modernbert.data.documents import Reader, find
from modernbert.data.lesson import FEWEST, FORMAT, TEXTS
from modernbert.data.passages import sample
from modernbert.infer.hub import folder_of
from modernbert.kernels.precision import choose_precision
from modernbert.model import folder as model_folder
from modernbert.retrieval.distill import lesson
from modernbert.retrieval.distill.options import DistillOptions
from modernbert.retrieval.distill.student import new_student, shape_of
from modernbert.retrieval.embedder import Embedder, open_embedder
from modernbert.train.finish import finish
from modernbert.train.summary import Summary, read_summary
from modernbert.train.tune import tune
from modernbert.train.tune_config import TuneConfig, check_length
from modernbert.train.tuning import Start, create, resume

_ASKED = "distill.json"
_FREE = ("device", "precision", "threads")
"""What may be said anew by a call that goes on: it belongs to the machine."""
_PROBED_WIDTH = 384
"""Width by which a precision is chosen for the teacher, whose own is not known yet."""


def distill(teacher: str, out: Path, options: DistillOptions) -> Summary | None:
    """Do every stage that is not done yet; return None when stopped before the end.

    Raises:
        CheckpointError: a model cannot be read, or the folder is of another distillation.
        ConfigError: the sizes do not fit each other.
        DataError: there is no text, or too little.
        MachineError: a package is missing, or the folder cannot be written.
    """
    _check_same(teacher, out, options)
    run = out / "run"
    if (done := read_summary(run) if run.exists() else None) is not None:
        say(f"{out} is finished: the model is in {run / 'model'}")
        return done
    if options.threads:
        torch.set_num_threads(options.threads)
    start = _prepared(teacher, out, options)
    tuning = (
        resume(run)
        if (run / "run.json").exists()
        else create(_config(out, options), Start("vectors", str(start)), run)
    )
    if not tune(tuning):
        return None
    return finish(tuning)


def _asked(teacher: str, options: DistillOptions) -> dict[str, object]:
    said = {name: value for name, value in to_plain(options).items() if name not in _FREE}
    return {"format": FORMAT, "teacher": teacher, **said}


def _check_same(teacher: str, out: Path, options: DistillOptions) -> None:
    """See that a folder is new, or that what is asked for is what it was begun with."""
    path = out / _ASKED
    if not path.exists():
        if out.is_dir() and any(out.iterdir()):
            raise ConfigError(f"{out} is not empty: give another folder")
        find([Path(text) for text in options.texts])
        return
    told = files.read_json(path)
    for name, value in _asked(teacher, options).items():
        if told.get(name) != value:
            raise CheckpointError(
                f"{out} was begun with {name} {told.get(name)!r}, and now it is {value!r}: say "
                "the same again, or give another --out"
            )


def _prepared(teacher: str, out: Path, options: DistillOptions) -> Path:
    """Make the lesson and the student's start, and return where that is."""
    start = folder_of(options.student) if options.student else out / "start"
    if lesson.is_done(out / "lesson") and start.exists():
        return start
    device = choose_device(options.device)
    precision = choose_precision(options.precision, device, _PROBED_WIDTH)
    opened = open_embedder(teacher, Autocast(device, precision))
    width = _checked(opened, start, options)
    if not (out / "lesson" / TEXTS).exists():
        with files.promised_folder(out):
            texts = _drawn(options)
            files.write_json(out / _ASKED, _asked(teacher, options))
        lesson.write_texts(out / "lesson", texts)
    _taught(teacher, opened, out / "lesson", width)
    if not start.exists():
        basis = lesson.basis_of(out / "lesson")
        made = new_student(options, opened, basis, lesson.width_of(out / "lesson"))
        weights = sum(weight.numel() for weight in made.model.parameters())
        say(f"the student has {count(weights)} weights")
        made.save(start)
    return start


def _checked(teacher: Embedder, start: Path, options: DistillOptions) -> int:
    """Return the student's width; what does not fit is found before the teacher reads anything."""
    theirs = teacher.vectors(["x"]).shape[1]
    if options.student:
        shape = model_folder.read_config(start)
        lesson.check_width(shape.dim, theirs)
    else:
        width = options.dim or theirs
        lesson.check_width(width, theirs)
        shape = shape_of(options, teacher.tokenizer, width)
    check_length(options.max_length, shape.max_length)
    return shape.dim


def _drawn(options: DistillOptions) -> list[str]:
    found = find([Path(text) for text in options.texts])
    say(f"reading {len(found.files)} files, {found.size_bytes / 1e6:.1f} MB")
    documents = Reader(found.files, invalid_utf8="replace", key=options.key)
    texts = sample(documents, options.passages, options.seed)
    if len(texts) < FEWEST:
        raise DataError(
            f"the files hold {len(texts)} passages to learn from, and {FEWEST} are needed: give "
            "more text"
        )
    return texts


def _taught(name: str, teacher: Embedder, folder: Path, width: int) -> None:
    if lesson.is_done(folder):
        return
    texts = lesson.read_texts(folder)
    say(f"{len(texts)} passages for {name}")
    lesson.teach(folder, teacher, texts)
    lesson.finish(folder, name, width)


def _config(out: Path, options: DistillOptions) -> TuneConfig:
    return TuneConfig(
        train=str(out / "lesson"),
        max_length=options.max_length,
        epochs=options.epochs,
        batch_size=options.batch_size,
        peak_lr=options.peak_lr,
        evaluations=options.evaluations,
        patience=0,
        seed=options.seed,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
    )
