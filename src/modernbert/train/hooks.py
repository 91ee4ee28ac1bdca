"""What happens after a step besides the step: saving and evaluating. Hooks change no number."""

import json
from typing import Protocol

from modernbert.base import dist, files
from modernbert.base.log import say
from modernbert.base.records import to_plain
from modernbert.train.evaluate import Evaluation, evaluate, overall
from modernbert.train.metrics import StepRow
from modernbert.train.probing import Probed, probed, read_probes
from modernbert.train.rows import EVALUATIONS, PROBES
from modernbert.train.run import Run


class Hook(Protocol):
    """Something that looks on."""

    def after_step(self, row: StepRow) -> None:
        """Look at a step that was taken; the run stands after it."""

    def close(self) -> None:
        """Let go of files and terminals, however the run ended."""


class Evaluator:
    """Measures held-out text every so many tokens and at the ends of phases."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def after_step(self, row: StepRow) -> None:
        """Evaluate when it is time, and append a row a source to `evaluations.jsonl`."""
        config = self._run.config
        if config.evaluate_tokens and is_due(row, config.evaluate_every_tokens):
            report(self._run, row, measure(self._run, row.phase))

    def close(self) -> None:
        """Hold nothing."""


class Prober:
    """Tries the model's vectors on labelled texts when held-out text is measured."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._probes = read_probes(run.config.probes, run.corpus)

    def after_step(self, row: StepRow) -> None:
        """Probe when it is time, and append a row a probe to `probes.jsonl`."""
        if self._probes and is_due(row, self._run.config.evaluate_every_tokens):
            for found in probed(self._run.model, self._probes, self._run.autocast):
                self._tell(row, found)

    def close(self) -> None:
        """Hold nothing."""

    def _tell(self, row: StepRow, found: Probed) -> None:
        place = {"step": row.step, "tokens": row.tokens, "phase": row.phase}
        line = json.dumps({**place, **to_plain(found)}) + "\n"
        dist.by_first(lambda: files.append(self._run.folder / PROBES, line))
        say(
            f"probe {found.probe}: accuracy {found.accuracy:.1%} "
            f"(most frequent label {found.most_frequent_label_accuracy:.1%})"
        )


class Saver:
    """Writes a checkpoint every so many tokens and at the ends of phases."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def after_step(self, row: StepRow) -> None:
        """Save when it is time."""
        if self._run.saving is not None:
            self._run.saving.check()
        if is_due(row, self._run.config.save_every_tokens):
            self._run.save(ends_phase=row.ends_phase)

    def close(self) -> None:
        """Hold nothing."""


def is_due(row: StepRow, every_tokens: int) -> bool:
    """Return whether this step crossed a multiple of `every_tokens`, or ended a phase."""
    if row.ends_phase or not every_tokens:
        return row.ends_phase
    return row.tokens // every_tokens > (row.tokens - row.batch_tokens) // every_tokens


def measure(run: Run, phase: str) -> list[Evaluation]:
    """Evaluate a run's model as it stands, at the context length of a phase."""
    (context,) = (each.context_length for each in run.config.phases if each.name == phase)
    return evaluate(run.model, run.corpus, run.autocast, context, run.config.evaluate_tokens)


def report(run: Run, row: StepRow, parts: list[Evaluation]) -> None:
    """Write an evaluation down and say its mean."""
    if not parts:
        return
    mean = overall(parts)
    place = {"step": row.step, "tokens": row.tokens, "phase": row.phase}
    lines = [json.dumps({**place, **to_plain(part)}) + "\n" for part in [*parts, mean]]
    dist.by_first(lambda: files.append(run.folder / EVALUATIONS, "".join(lines)))
    say(
        f"held out: loss {mean.loss:.3f}, masked accuracy {mean.masked_accuracy:.1%} "
        f"(most frequent token {mean.most_frequent_token_accuracy:.1%})"
    )
