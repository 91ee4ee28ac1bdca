"""The loop: work in, moved weights out, until the phases are done or someone stops it."""

import shlex
import time
from collections.abc import Generator
from contextlib import ExitStack, closing

from modernbert.base import dist
from modernbert.base.log import say
from modernbert.data.prefetch import prefetch
from modernbert.kernels.precision import multiply_rate
from modernbert.model.count import training_flops
from modernbert.train import parallel
from modernbert.train.diagnose import not_finite
from modernbert.train.events import record
from modernbert.train.feed import Work, feed, stream_of
from modernbert.train.hooks import Evaluator, Hook, Prober, Saver
from modernbert.train.metrics import Console, MetricsFile, StepRow, TensorBoard, has_tensorboard
from modernbert.train.run import Run
from modernbert.train.step import StepResult, accumulate, move, shorten
from modernbert.train.stop import StopRequest
from modernbert.train.track import tracked

_AHEAD = 2


def train(run: Run) -> bool:
    """Take every step that is left; return False when stopped before the end.

    Raises:
        TrainingError: the loss or a gradient is not finite; the weights have not moved.
    """
    config = run.config
    run.model.train()
    shares = parallel.shares(run.model, run.autocast.device, is_compiled=config.compile)
    with ExitStack() as open_things, StopRequest() as stop:
        hooks = _hooks(run)
        for hook in hooks:
            open_things.callback(hook.close)
        works = open_things.enter_context(closing(_works(run)))
        clock = _Clock(run)
        for work in works:
            run.enter(work.phase)
            result = accumulate(run.model, work, run.autocast, config.seed, shares, run.ranks)
            if not result.is_finite:
                record(run.folder, "failure", run.progress)
                stream = stream_of(config, run.corpus, work.phase)
                raise not_finite(run.model, work, stream.name_of, run.autocast, config.seed)
            shorten(run.model, result.grad_norm, config.clip_norm)
            move(run.optimizer, work.lr)
            run.progress = work.after
            row = clock.row(work, result)
            for hook in hooks:
                hook.after_step(row)
            is_stopped = dist.total([float(stop.is_made)], run.autocast.device) != [0.0]
            if is_stopped and run.progress.phase < len(config.phases):
                return _stopped(run, row)
            clock.restart()
    return True


def _works(run: Run) -> Generator[Work, None, None]:
    return prefetch(
        feed(run.config, run.corpus, run.progress, dist.rank(), dist.world_size()), _AHEAD
    )


def _hooks(run: Run) -> list[Hook]:
    shared: list[Hook] = [Evaluator(run), Prober(run), Saver(run)]
    if not dist.is_first():
        return shared
    hooks: list[Hook] = [MetricsFile(run.folder), Console(run), *shared]
    if has_tensorboard():
        hooks.append(TensorBoard(run))
    return [*hooks, *tracked(run)]


def _stopped(run: Run, row: StepRow) -> bool:
    if not run.is_saved():
        run.save(ends_phase=row.ends_phase)
    run.settle()
    record(run.folder, "stop", run.progress)
    say(
        f"stopped after step {run.progress.step}; "
        f"continue with: modernbert pretrain --resume {shlex.quote(str(run.folder))}"
    )
    return False


class _Clock:
    """Times a step from the end of the one before, so that waiting for data is counted."""

    def __init__(self, run: Run) -> None:
        self._config = run.model.config
        self._autocast = run.autocast
        self._peak = multiply_rate(run.autocast.device, run.autocast.precision)
        self._start = time.perf_counter()

    def restart(self) -> None:
        """Begin a step; what hooks took is not counted."""
        self._start = time.perf_counter()

    def row(self, work: Work, result: StepResult) -> StepRow:
        seconds = time.perf_counter() - self._start
        rate = work.num_tokens / seconds
        flops = training_flops(self._config, _usual_length(work), work.phase.guessed_share)
        flops_rate = rate * flops / dist.world_size()
        if flops_rate > self._peak:
            # The machine was busy when its rate was measured: nothing runs above its peak.
            self._peak = max(
                self._peak, multiply_rate(self._autocast.device, self._autocast.precision)
            )
        return StepRow(
            step=work.step,
            tokens=work.after.tokens,
            phase=work.phase.name,
            loss=result.loss,
            masked_accuracy=result.accuracy,
            lr=work.lr,
            tokens_per_second=rate,
            fill=work.fill,
            grad_norm=result.grad_norm,
            batch_tokens=work.num_tokens,
            mfu=flops_rate / self._peak,
            seconds=seconds,
            ends_phase=work.ends_phase,
        )


def _usual_length(work: Work) -> int:
    """Return the length of the sequence that the average token stands in."""
    lengths = [length for batch in work.batches for length in batch.packed.layout.lengths()]
    return round(sum(length * length for length in lengths) / sum(lengths))
