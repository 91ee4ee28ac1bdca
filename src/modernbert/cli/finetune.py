"""`modernbert finetune TASK MODEL`: an encoder and examples in, a model that labels texts out."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from modernbert.base.errors import ConfigError, TrainingError
from modernbert.base.log import say
from modernbert.train.tune_config import TuneConfig

if TYPE_CHECKING:
    from modernbert.train.tuning import Start

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
  modernbert finetune classify run/model --train train.csv --out grid --sweep epochs=1,3 seed=1,2

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
    """Folder of a run to continue; takes no other option but --jobs."""
    sweep: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE,...")] = ()
    """Options with several values each: every combination is run, in a process of its own."""
    jobs: int = 0
    """Runs of a sweep at a time; 0 takes one on a CPU, and one a GPU elsewhere."""
    config: Annotated[TuneConfig, tyro.conf.arg(name="")]


def finetune(given: Sequence[str]) -> int:
    """Run the command."""
    parsed = tyro.cli(
        Finetune, prog="modernbert finetune", description=_EXAMPLES, args=given or ["--help"]
    )
    others = {word.partition("=")[0] for word in given if word.startswith("--")}
    if parsed.resume and (parsed.start or others - {"--resume", "--jobs"}):
        raise ConfigError("--resume takes no other option: a run goes on as it began")
    if not parsed.resume and not (parsed.start and parsed.out and parsed.config.train):
        raise ConfigError(
            "a fine-tuning needs a task and a model, --train FILE and --out DIR; to go on with "
            "one, give --resume DIR"
        )
    if parsed.jobs < 0:
        raise ConfigError(f"--jobs is {parsed.jobs}: give 1 or more")
    if parsed.sweep or (parsed.resume and (parsed.resume / "sweep.json").exists()):
        return _swept(parsed)
    return _tuned(parsed)


def _tuned(parsed: Finetune) -> int:
    from modernbert.evals.reliability import draw
    from modernbert.train.calibrate import read_calibration
    from modernbert.train.finish import finish
    from modernbert.train.summary import read_summary
    from modernbert.train.tune import tune
    from modernbert.train.tuning import create, resume

    if parsed.resume and read_summary(parsed.resume):
        say(f"{parsed.resume} is finished: the best model is in {parsed.resume / 'model'}")
        return 0
    if parsed.resume:
        tuning = resume(parsed.resume)
    else:
        tuning = create(parsed.config, _start(parsed), parsed.out or Path())
    if not tune(tuning):
        return _INTERRUPTED
    finish(tuning)
    if tuning.config.calibrate:
        draw(read_calibration(tuning.folder), tuning.folder / "calibration.svg")
    say(f"the best model is in {tuning.folder / 'model'}")
    return 0


def _swept(parsed: Finetune) -> int:
    from modernbert.evals.sweep import Sweep, read_sweep, sweep, table
    from modernbert.train.processes import default_jobs
    from modernbert.train.variants import axes_of, variants_of

    folder = parsed.resume or parsed.out or Path()
    if parsed.resume:
        asked = read_sweep(parsed.resume)
    else:
        variants_of(parsed.config, axes_of(parsed.sweep))
        asked = Sweep(_start(parsed), parsed.config, parsed.sweep)
    groups = sweep(asked, folder, parsed.jobs or default_jobs(asked.config.device))
    if groups is None:
        say(f"go on with: modernbert finetune --resume {shlex.quote(str(folder))}")
        return _INTERRUPTED
    print(table(groups))
    if groups[0].best is None:
        raise TrainingError(
            f"every run of {folder} failed: see what the files {folder / 'runs'}/*.log say"
        )
    say(f"the best model is in {folder / 'model'}, all of the above in {folder / 'sweep.json'}")
    return 0


def _start(parsed: Finetune) -> "Start":
    from modernbert.infer.hub import folder_of
    from modernbert.model.sentence_reader import model_place
    from modernbert.train.tuning import Start

    return Start(parsed.task, str(model_place(folder_of(parsed.start))))
