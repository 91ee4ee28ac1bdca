"""A fine-tuning in, the model that is best at telling the dev examples apart out."""

import json
import shlex
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modernbert.base import files
from modernbert.base.device import Autocast
from modernbert.base.log import Meter, meter, say
from modernbert.data.prefetch import prefetch
from modernbert.data.rows import in_order
from modernbert.model import card, sentence_writer
from modernbert.model.model import Model
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import SentenceConfig
from modernbert.train import lora, parallel
from modernbert.train.diagnose import not_finite
from modernbert.train.feed import Progress
from modernbert.train.rows import EVALUATIONS, METRICS
from modernbert.train.step import StepResult, accumulate, move, shorten
from modernbert.train.stop import StopRequest
from modernbert.train.tune_data import Labelled
from modernbert.train.tune_feed import TuneWork, feed, num_steps
from modernbert.train.tuning import Tuning

_AHEAD = 2
_EVALUATION_TOKENS = 8192


def tune(tuning: Tuning) -> bool:
    """Take all steps, or stop early when nothing improves; return False when interrupted.

    The best model lies in OUT/model at any time after the first evaluation.

    Raises:
        TrainingError: the loss or a gradient is not finite; the weights have not moved.
    """
    config, total = tuning.config, num_steps(tuning.config, tuning.data)
    parallel.prepare(
        tuning.model,
        checkpoint_activations=config.checkpoint_activations,
        compile_layers=config.compile,
    )
    parallel.name_rows(tuning.model, tuning.autocast.device)
    tuning.model.train()
    shares = parallel.shares(tuning.model, tuning.autocast.device, is_compiled=config.compile)
    with (
        closing(_works(tuning, shares)) as works,
        StopRequest() as stop,
        meter("fine-tuning", total) as bar,
    ):
        for work in works:
            _take(tuning, work, shares, bar)
            if work.is_measured and _is_over(tuning, work):
                break
            if work.is_measured or stop.is_made:
                tuning.save()
            if stop.is_made and work.step < total:
                quoted = shlex.quote(str(tuning.folder))
                say(
                    f"stopped after step {work.step} of {total}; continue with: "
                    f"modernbert finetune --resume {quoted}"
                )
                return False
    return True


def _take(tuning: Tuning, work: TuneWork, shares: int, bar: Meter) -> None:
    seed, start = tuning.config.seed, time.perf_counter()
    result = accumulate(tuning.model, work, tuning.autocast, seed, shares)
    if not result.is_finite:
        where = tuning.data.train.examples.where
        size = len(where)
        raise not_finite(tuning.model, work, lambda n: where[n % size], tuning.autocast, seed)
    shorten(tuning.model, result.grad_norm, tuning.config.clip_norm)
    move(tuning.optimizer, work.lr)
    seconds = time.perf_counter() - start
    tuning.progress = Progress(work.step, tuning.progress.tokens + work.num_tokens)
    files.append(tuning.folder / METRICS, json.dumps(_row(work, result, seconds)) + "\n")
    bar.at(work.step, f"epoch {work.epoch:.2f} loss {result.loss:.3f}")


def _is_over(tuning: Tuning, work: TuneWork) -> bool:
    """Measure the dev examples, keep the model if it is the best, and say whether to stop."""
    outputs = outputs_of(tuning.model, tuning.data.dev, tuning.autocast)
    measured = tuning.data.dev.task.measure(outputs)
    name = tuning.decisive
    value = measured[name]
    is_better = value > tuning.best
    tuning.best = max(value, tuning.best)
    tuning.num_worse = 0 if is_better else tuning.num_worse + 1
    row = {"step": work.step, "epoch": work.epoch, "is_best": is_better, **measured}
    files.append(tuning.folder / EVALUATIONS, json.dumps(row) + "\n")
    shown = ", ".join(f"{key} {number:.4f}" for key, number in measured.items())
    say(f"epoch {work.epoch:.2f}: {shown}{' (best)' if is_better else ''}")
    if is_better:
        _keep(tuning)
    patience = tuning.config.patience
    is_over = patience > 0 and tuning.num_worse >= patience
    if is_over:
        say(f"{name} has not risen for {patience} evaluations: stopped")
    return is_over


def _keep(tuning: Tuning) -> None:
    model = lora.merged(tuning.model)
    with _replaced(tuning.folder / "model") as aside:
        length = tuning.config.max_length
        sentence = SentenceConfig(max_length=length, steps=tuning.data.steps)
        sentence_writer.write(model, aside, Sentence(sentence))
        tuning.tokenizer.save(aside, max_length=length)
        card.write(card.facts_of(model, tuning.tokenizer.mask_token), aside)
    if tuning.config.lora_rank:
        with _replaced(tuning.folder / lora.FOLDER) as aside:
            lora.write(tuning.model, aside)


def _replaced(folder: Path) -> AbstractContextManager[Path]:
    """Give a folder to fill, whose files replace those that are there."""
    return (files.filled_folder if folder.is_dir() else files.whole_folder)(folder)


@torch.no_grad()
def outputs_of(model: Model, given: Labelled, autocast: Autocast) -> list[Tensor]:
    """Return what the task reads out of each example, in their order, on the CPU."""
    was_training = model.training
    model.eval()
    found: dict[int, Tensor] = {}
    for micro in in_order(given.examples, _EVALUATION_TOKENS):
        batch = given.task.collate(micro).to(autocast.device)
        with autocast():
            outputs = given.task.outputs(model, batch)
        found |= zip(micro.numbers.tolist(), (each.cpu() for each in outputs), strict=True)
    model.train(was_training)
    return [found[number] for number in range(len(given.examples))]


def _works(tuning: Tuning, shares: int) -> Generator[TuneWork, None, None]:
    works = feed(tuning.config, tuning.data, tuning.progress.step, shares=shares)
    return prefetch(works, _AHEAD)


def _row(work: TuneWork, result: StepResult, seconds: float) -> dict[str, Any]:
    return {
        "step": work.step,
        "epoch": work.epoch,
        "loss": result.loss,
        "accuracy": result.accuracy,
        "lr": work.lr,
        "grad_norm": result.grad_norm,
        "tokens": work.num_tokens,
        "examples": work.num_examples,
        "seconds": seconds,
    }
