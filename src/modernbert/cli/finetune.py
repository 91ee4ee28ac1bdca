"""`modernbert finetune TASK MODEL`: an encoder and examples in, a model that labels texts out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.train.tune_config import TuneConfig

_INTERRUPTED = 130
_EXAMPLES = """
Teach an encoder to label texts or words in them, or to answer questions, from a file of examples.

Examples:
  modernbert finetune classify run/model --train train.csv --dev dev.csv --out labels
  modernbert finetune classify run/model --train reviews.jsonl --out stars --problem regression
  modernbert finetune classify run/model --train pairs.tsv --out same --text first --pair second
  modernbert finetune tokens run/model --train train.conll --dev dev.conll --out names
  modernbert finetune spans run/model --train train.json --dev dev.json --out answers
  modernbert finetune choice run/model --train swag.csv --dev dev.csv --out endings

Columns are guessed by their names and contents, and said. The best model on the dev examples is in
OUT/model, where transformers, sentence-transformers and servers open it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetune:
    """What the command takes."""

    task: tyro.conf.Positional[Literal["classify", "tokens", "spans", "choice"]] = "classify"
    """What is learned: labels or numbers for texts or pairs (classify), tagged words or spans in
    texts (tokens), answers to questions in texts (spans), which of some options is right
    (choice)."""
    start: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")] = ""
    """Folder of the model to start from, or its name on the hub."""
    out: Path | None = None
    """Folder of the run; the best model is in OUT/model."""
    resume: Path | None = None
    """Folder of a run to continue; takes no other option."""
    config: Annotated[TuneConfig, tyro.conf.arg(name="")]


def finetune(given: Sequence[str]) -> int:
    """Run the command."""
    parsed = tyro.cli(
        Finetune, prog="modernbert finetune", description=_EXAMPLES, args=given or ["--help"]
    )
    if parsed.resume and len(given) > 1 + ("=" not in given[0]):
        raise ConfigError("--resume takes no other option: a run goes on as it began")
    if not parsed.resume and not (parsed.start and parsed.out and parsed.config.train):
        raise ConfigError(
            "a fine-tuning needs a task and a model, --train FILE and --out DIR; to go on with "
            "one, give --resume DIR"
        )
    from modernbert.evals.reliability import draw
    from modernbert.infer.hub import folder_of
    from modernbert.model.sentence_reader import model_place
    from modernbert.train.calibrate import calibrate
    from modernbert.train.tune import tune
    from modernbert.train.tuning import Start, create, resume

    if parsed.resume:
        tuning = resume(parsed.resume)
    else:
        place = model_place(folder_of(parsed.start))
        start = Start(parsed.task, str(place))
        tuning = create(parsed.config, start, parsed.out or Path())
    if not tune(tuning):
        return _INTERRUPTED
    if tuning.config.calibrate:
        draw(calibrate(tuning), tuning.folder / "calibration.svg")
    say(f"the best model is in {tuning.folder / 'model'}")
    return 0
