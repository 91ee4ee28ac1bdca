"""A configuration and a place in the run in, one step's work after another out.

It runs ahead in a thread, knows no model and holds no state: where a run is, is a `Progress`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from modernbert.base.errors import ConfigError
from modernbert.base.rng import key
from modernbert.data.corpus import Corpus
from modernbert.data.mixture import tempered
from modernbert.data.stream import Rows, Stream, StreamConfig, StreamState
from modernbert.tasks.clm import CausalLM
from modernbert.tasks.mlm import GuessedBatch, MaskedLM
from modernbert.train.config import Phase, RunConfig


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: everything that resume needs besides weights and moments."""

    step: int = 0
    tokens: int = 0
    phase: int = 0
    phase_tokens: int = 0
    stream: StreamState = field(default_factory=StreamState)


@dataclass(frozen=True, slots=True)
class Work:
    """What one optimizer step is made of, on this rank."""

    step: int
    phase: Phase
    task: MaskedLM | CausalLM
    batches: tuple[GuessedBatch, ...]
    rows: tuple[Rows, ...]
    """The rows behind the batches: they name the documents when something is wrong."""
    num_tokens: int
    """Over all ranks."""
    fill: float
    """Share of the rows' places that hold a token."""
    lr: float
    after: Progress
    """Where the run is once this step is taken."""

    @property
    def ends_phase(self) -> bool:
        """Return whether the next step belongs to another phase, or there is none."""
        return self.after.phase_tokens == 0


def feed(
    config: RunConfig, corpus: Corpus, progress: Progress, rank: int = 0, world_size: int = 1
) -> Iterator[Work]:
    """Yield the work of every step that is left, in order.

    The rate of a step is the schedule's at the middle of its tokens, so that neither the first
    nor the last step is lost to a rate of zero.
    """
    while progress.phase < len(config.phases):
        phase = config.phases[progress.phase]
        stream = stream_of(config, corpus, phase)
        task = task_of(config, corpus, phase)
        ended = False
        while not ended:
            work = _next(stream, task, phase, progress, (rank, world_size))
            yield work
            progress, ended = work.after, work.ends_phase


def check_deal(phases: Sequence[Phase], world_size: int) -> None:
    """See that so many ranks can share the batches of all phases.

    Raises:
        ConfigError: the rows of a full batch do not divide evenly, or the first are too few.
    """
    found = [_fault(number, phase, world_size) for number, phase in enumerate(phases)]
    faults = [each for each in found if each]
    if len(faults) > 1:
        raise ConfigError(f"{faults[0]}; {'; '.join(map(str, faults[1:]))}")
    if faults:
        raise faults[0]


def _fault(number: int, phase: Phase, world_size: int) -> ConfigError | None:
    rows_of = partial(
        phase.batch_warmup.rows_at, row_tokens=phase.row_tokens, batch_tokens=phase.batch_tokens
    )
    full, first = rows_of(phase.tokens), rows_of(0)
    if full % world_size:
        even = [str(each) for each in range(1, full + 1) if not full % each]
        row = phase.batch_tokens // world_size
        option = (
            f"--phases.{number}.row-tokens {row}"
            if row >= phase.context_length
            else f"--phases.{number}.batch-tokens {phase.row_tokens * world_size}"
        )
        return ConfigError(
            f"phase {phase.name}: a batch of {full} {'row' if full == 1 else 'rows'} (batch_tokens "
            f"{phase.batch_tokens} by row_tokens {phase.row_tokens}) cannot be dealt evenly to "
            f"{world_size} processes: start {_listed(even)}, or give {option}"
        )
    if first < world_size:
        return ConfigError(
            f"phase {phase.name}: its first batches have {first} {'row' if first == 1 else 'rows'},"
            f" fewer than there are processes ({world_size}): give "
            f"--phases.{number}.batch-warmup.first-tokens {world_size * phase.row_tokens} or more"
        )
    return None


def _listed(numbers: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(numbers[:-1]), numbers[-1])))


def stream_of(config: RunConfig, corpus: Corpus, phase: Phase) -> Stream:
    """Return the stream of a phase's rows."""
    shape = StreamConfig(
        context_length=phase.context_length,
        micro_batch_tokens=phase.row_tokens,
        seed=config.seed,
        purpose=phase.name,
        weights=_weights_of(phase, corpus),
        long_tokens=phase.long_tokens,
        long_boost=phase.long_boost,
    )
    return Stream(corpus, shape)


def _weights_of(phase: Phase, corpus: Corpus) -> dict[str, float] | None:
    if phase.source_temperature == 1 and not phase.source_boosts:
        return phase.source_weights or None
    tokens = corpus.token_counts("train")
    return tempered(tokens, phase.source_temperature, phase.source_boosts)


def task_of(config: RunConfig, corpus: Corpus, phase: Phase) -> MaskedLM | CausalLM:
    """Return the task of a phase, its masks addressed by the phase's name."""
    if phase.objective == "causal":
        return CausalLM()
    address = key(config.seed, "masks", phase.name)
    shares = (phase.mask_share, phase.random_share)
    return MaskedLM.of(corpus.tokenizer, phase.mask_rate, address, shares)


def _next(
    stream: Stream,
    task: MaskedLM | CausalLM,
    phase: Phase,
    progress: Progress,
    place: tuple[int, int],
) -> Work:
    rows = phase.batch_warmup.rows_at(progress.phase_tokens, phase.row_tokens, phase.batch_tokens)
    taken = stream.take(progress.stream, rows, *place)
    seen = progress.phase_tokens + taken.num_tokens
    ended = seen >= phase.tokens
    after = Progress(
        step=progress.step + 1,
        tokens=progress.tokens + taken.num_tokens,
        phase=progress.phase + ended,
        phase_tokens=0 if ended else seen,
        stream=StreamState() if ended else taken.state,
    )
    longest = phase.length_warmup.length_at(progress.phase_tokens, phase.context_length)
    middle = min(progress.phase_tokens + taken.num_tokens / 2, phase.tokens)
    return Work(
        step=after.step,
        phase=phase,
        task=task,
        batches=tuple(task.collate(row).cut(longest) for row in taken.rows),
        rows=taken.rows,
        num_tokens=taken.num_tokens,
        fill=taken.num_tokens / taken.capacity,
        lr=phase.peak_lr * phase.schedule.at(middle, phase.tokens),
        after=after,
    )
