"""A finished fine-tuning in, its best model with honest probabilities out: they are folded in.

The classifier's weight and bias are divided by a temperature, so that every tool that opens the
folder gives calibrated probabilities without knowing of it.
"""

from dataclasses import dataclass
from pathlib import Path

from modernbert.base import files
from modernbert.base.log import say
from modernbert.base.records import from_plain, to_plain
from modernbert.model.stored import WEIGHTS, read_file, write_tensors
from modernbert.tasks.calibration import Honesty, honesty, temperature_of
from modernbert.tasks.classify import Classify
from modernbert.tasks.tokens import TagTokens
from modernbert.train import checkpoint, lora
from modernbert.train.tune import outputs_of
from modernbert.train.tuning import Tuning

RECORD = "calibration.json"
_NOTE = "temperature"
_DIVIDED = ("classifier.weight", "classifier.bias")


@dataclass(frozen=True, slots=True)
class Calibration:
    """What `calibration.json` says."""

    temperature: float
    examples: int
    """Examples of --dev."""
    answers: int
    """What they were asked: a label, a yes or no of each of several labels, a tag of each word."""
    before: Honesty
    after: Honesty
    format: int = checkpoint.FORMAT


def calibrate(tuning: Tuning) -> Calibration:
    """Find the temperature on the dev examples, and divide the best model's scores by it, once.

    The files of weights say in their headers that it was done: a run that is resumed when it is
    finished, or that was killed meanwhile, divides nothing twice.
    """
    model, record = tuning.folder / "model" / WEIGHTS, tuning.folder / RECORD
    done = _temperature_in(model)
    if done is not None and record.exists():
        found = read_calibration(tuning.folder)
        say(f"{model.parent} is calibrated already, by the temperature {done:.3f}")
    else:
        found = _measured(tuning, done or 1.0)
        files.write_json(record, to_plain(found))
        _say(found)
    for path in (model, tuning.folder / lora.FOLDER / lora.WEIGHTS):
        if path.exists() and _temperature_in(path) is None:
            _divide(path, found.temperature)
    return found


def read_calibration(folder: Path) -> Calibration:
    """Return how the probabilities of a run's best model were made honest.

    Raises:
        CheckpointError: the record is missing or broken, or of another format.
        ConfigError: it has other keys.
    """
    path = folder / RECORD
    return from_plain(Calibration, checkpoint.read_record(path), str(path))


def _measured(tuning: Tuning, done: float) -> Calibration:
    task = tuning.data.dev.task
    assert isinstance(task, Classify | TagTokens), "checked when the run was made"
    outputs = outputs_of(tuning.best_model(), tuning.data.dev, tuning.autocast)
    answers = task.answers(outputs).times(done)
    temperature = temperature_of(answers)
    return Calibration(
        temperature=temperature,
        examples=len(tuning.data.dev.examples),
        answers=len(answers.right),
        before=honesty(answers),
        after=honesty(answers, temperature),
    )


def _say(found: Calibration) -> None:
    before, after = found.before, found.after
    if all(each.accuracy == 1 for each in before.bins):
        say(
            f"all {found.answers} answers are right, so nothing says how sure to be: not calibrated"
        )
        return
    say(
        f"calibrated by the temperature {found.temperature:.3f}: expected error of probabilities "
        f"{before.calibration_error:.1%} -> {after.calibration_error:.1%}, negative log-likelihood "
        f"{before.nll:.4f} -> {after.nll:.4f}, over {found.answers} answers"
    )
    say("these examples chose the best model too: on others probabilities may be less honest")


def _temperature_in(path: Path) -> float | None:
    _, notes = read_file(path)
    return float(notes[_NOTE]) if _NOTE in notes else None


def _divide(path: Path, temperature: float) -> None:
    tensors, _ = read_file(path)
    divided = {
        name: (tensor.double() / temperature).to(tensor.dtype)
        if name.endswith(_DIVIDED)
        else tensor
        for name, tensor in tensors.items()
    }
    write_tensors(divided, path.parent, path.name, {_NOTE: repr(temperature)})
