"""A case and, perhaps, a corpus in; optimizer steps out, packed or padded: the same everywhere."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from modernbert.base.errors import ConfigError
from modernbert.base.records import nearest
from modernbert.base.rng import generator, key
from modernbert.batch import Layout, PackedBatch
from modernbert.bench.peers import IGNORED, PaddedBatch, padded
from modernbert.bench.training_case import TrainingCase
from modernbert.data.chunks import Rows
from modernbert.data.corpus import Corpus
from modernbert.data.masking import MaskingRule
from modernbert.model.config import EncoderConfig
from modernbert.model.count import training_flops
from modernbert.model.presets import PRESETS
from modernbert.tasks.clm import CausalLM
from modernbert.tasks.mlm import GuessedBatch, MaskedLM
from modernbert.train.config import Phase, RunConfig
from modernbert.train.feed import Progress, feed
from modernbert.train.fit import decided

LR = 1e-4
SEED = 17
_MASK_RATE = 0.3
_SHORTEST = 8
_SPREAD = 1.0
"""Of the logarithm of drawn lengths: about that of web text."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimizer step learns from, for `train.step.accumulate`."""

    step: int
    task: MaskedLM | CausalLM
    batches: tuple[GuessedBatch, ...]
    rows: tuple[Rows, ...]

    @property
    def lengths(self) -> list[int]:
        """Tokens of every document."""
        return [length for rows in self.rows for length in rows.lengths]


@dataclass(frozen=True, slots=True)
class Job:
    """What every side of a row is given."""

    config: EncoderConfig
    steps: tuple[Step, ...]
    corpus_documents: int | None
    """Documents of the corpus; None where they were drawn."""

    @property
    def tokens(self) -> float:
        """Real tokens of a step, on average."""
        return sum(sum(step.lengths) for step in self.steps) / len(self.steps)

    @property
    def token_flops(self) -> float:
        """FLOPs that a real token costs, on average: nothing padded, nothing recomputed."""
        batches = [batch for step in self.steps for batch in step.batches]
        tokens = self.tokens * len(self.steps)
        share = sum(len(batch.positions) for batch in batches) / tokens
        lengths = [length for step in self.steps for length in step.lengths]
        return sum(n * training_flops(self.config, n, share) for n in lengths) / tokens


def job_of(case: TrainingCase, corpus: Path | None) -> Job:
    """Return the steps of a case: of a corpus, or drawn; the same in every process.

    Raises:
        ConfigError: the preset is unknown.
    """
    if case.model not in PRESETS:
        raise ConfigError(f"there is no preset {case.model!r}: {nearest(case.model, PRESETS)}")
    number = case.rounds + 2
    if corpus is None:
        config = PRESETS[case.model]
        return Job(config, tuple(islice(_drawn(case, config), number)), None)
    opened = Corpus.open(corpus)
    run = decided(_run(case, corpus), opened)
    works = islice(feed(run, opened, Progress()), number)
    steps = tuple(Step(each.step, each.task, each.batches, each.rows) for each in works)
    return Job(run.model, steps, opened.manifest.total("documents", "train"))


def _run(case: TrainingCase, corpus: Path) -> RunConfig:
    phase = Phase(
        name="bench",
        tokens=1 << 60,
        context_length=case.context_length,
        batch_tokens=case.row_tokens,
        row_tokens=case.row_tokens,
        peak_lr=LR,
        weight_decay=0.0,
        mask_rate=_MASK_RATE,
    )
    return RunConfig(
        model=PRESETS[case.model],
        phases=(phase,),
        corpus=str(corpus),
        seed=SEED,
        device="cpu",
        precision="float32",
    )


def _drawn(case: TrainingCase, config: EncoderConfig) -> Iterator[Step]:
    """Draw documents without end; each step's row is full, its last document cut to fit."""
    task, number = MaskedLM(_rule(config), key(SEED, "bench", "masks")), 0
    while True:
        lengths = drawn_lengths(case, number)
        ids = generator(SEED, "bench", "ids", number).integers(
            min(config.cls_id, config.sep_id, config.pad_id), size=int(lengths.sum())
        )
        stops = np.cumsum(lengths)
        ids[stops - lengths], ids[stops - 1] = config.cls_id, config.sep_id
        samples = np.arange(len(lengths)) + number * case.row_tokens
        rows = Rows(ids, tuple(lengths.tolist()), samples)
        yield Step(number + 1, task, (task.collate(rows),), (rows,))
        number += 1


def drawn_lengths(case: TrainingCase, number: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the lengths of a step's documents; they fill its row."""
    most = case.row_tokens // _SHORTEST
    if case.lengths == "full":
        lengths = np.full(most, case.context_length, dtype=np.int64)
    else:
        source = generator(SEED, "bench", "lengths", number)
        drawn = case.context_length / 2 * np.exp(_SPREAD * source.standard_normal(most))
        lengths = drawn.clip(_SHORTEST, case.context_length).astype(np.int64)
    stops = np.minimum(np.cumsum(lengths), case.row_tokens)
    return np.diff(np.unique(stops), prepend=0)


def _rule(config: EncoderConfig) -> MaskingRule:
    """Hide what a tokenizer of this vocabulary would; its ordinary ids are the first."""
    special = (config.cls_id, config.sep_id, config.pad_id)
    return MaskingRule(
        rate=_MASK_RATE,
        mask_id=max(special) + 1,
        special_ids=frozenset(special),
        ordinary_ids=np.arange(min(special)),
    )


def grids_of(step: Step, batch_size: int, pad_id: int) -> list[PaddedBatch]:
    """Lay a step out as padded grids of so many documents, in the order they came."""
    return [grid for batch in step.batches for grid in padded(batch, batch_size, pad_id)]


def spread_out(step: Step, batch_size: int, pad_id: int) -> Step:
    """Lay the same grids out flat: padding follows its document, as a document of its own.

    So padding is computed in every layer, as a padded model does, and read by nobody.
    """
    grids = grids_of(step, batch_size, pad_id)
    return dataclasses.replace(step, batches=tuple(map(_flat, grids)))


def _flat(grid: PaddedBatch) -> GuessedBatch:
    longest = grid.input_ids.shape[1]
    lengths = [(real, longest - real) for real in grid.attention_mask.sum(1).tolist()]
    layout = Layout.of([length for pair in lengths for length in pair if length])
    labels = grid.labels.flatten()
    (positions,) = (labels != IGNORED).nonzero(as_tuple=True)
    packed = PackedBatch(grid.input_ids.flatten(), layout)
    return GuessedBatch(packed, positions, labels[positions])
