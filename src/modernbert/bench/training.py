"""A corpus and a shape in, training speed beside a padded transformers loop out."""

import dataclasses
from pathlib import Path

import torch

from modernbert.base import machine
from modernbert.base.device import Autocast
from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.base.records import nearest
from modernbert.bench.cases import TrainingCase
from modernbert.bench.measure import compare
from modernbert.bench.peers import PaddedBatch, PaddedTransformers, padded, real_share
from modernbert.data.corpus import Corpus
from modernbert.model.init import build
from modernbert.model.presets import PRESETS
from modernbert.optim.groups import decay_groups
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.train.config import Phase, RunConfig
from modernbert.train.feed import Progress, Work, feed
from modernbert.train.run import decided
from modernbert.train.step import accumulate, move

_LR = 1e-4
_AGREEMENT = 1e-4


def measure(corpus_folder: Path, case: TrainingCase) -> dict[str, object]:
    """Time optimizer steps over the same documents with the same hidden tokens, and return a row.

    Both sides start from the same weights; before timing, their losses are compared.

    Raises:
        ConfigError: the preset is unknown, or the two losses do not agree.
    """
    corpus = Corpus.open(corpus_folder)
    config = decided(_config(case, corpus_folder), corpus)
    works = _works(config, corpus, case.rounds + 2)
    grids = [_padded(work, case.batch_size, config.model.pad_id) for work in works]
    ours = _Ours(config)
    theirs = PaddedTransformers(ours.model, _LR)
    difference = ours.loss(works[0]) - theirs.loss(grids[0])
    if abs(difference) > _AGREEMENT:
        raise ConfigError(f"the two losses differ by {difference:.2e}: nothing was timed")
    ours.optimizer.zero_grad()
    theirs.optimizer.zero_grad()
    left, right = iter(works[1:]), iter(grids[1:])
    found = compare(lambda: ours.step(next(left)), lambda: theirs.step(next(right)), case.rounds)
    tokens = sum(work.num_tokens for work in works[2:]) / case.rounds
    ratio = found.ratio
    say(
        f"{case.model}: {tokens / found.ours_s:.0f} tok/s packed, {tokens / found.theirs_s:.0f} "
        f"padded through transformers: {ratio.middle:.2f}x ({ratio.low:.2f} to {ratio.high:.2f})"
    )
    return {
        "bench": "training",
        **dataclasses.asdict(case),
        "vocab_size": corpus.vocab_size,
        "threads": torch.get_num_threads(),
        "corpus_documents": corpus.manifest.total("documents", "train"),
        "precision": "float32",
        "ours_tokens_per_second": round(tokens / found.ours_s, 1),
        "theirs_tokens_per_second": round(tokens / found.theirs_s, 1),
        "ratio": round(ratio.middle, 3),
        "ratio_quartiles": [round(ratio.low, 3), round(ratio.high, 3)],
        "padded_real_share": round(sum(map(real_share, grids)) / len(grids), 3),
        "loss_difference": difference,
        "machine": machine.machine(),
        "versions": machine.versions(),
    }


class _Ours:
    """The package's own step."""

    def __init__(self, config: RunConfig) -> None:
        self.model = build(config.model, config.seed).train()
        groups = decay_groups(self.model.named_parameters(), 0.0)
        self.optimizer = StableAdamW(groups, lr=_LR)
        self._autocast = Autocast(torch.device("cpu"), "float32")
        self._seed = config.seed

    def loss(self, work: Work) -> float:
        return accumulate(self.model, work, self._autocast, self._seed).loss

    def step(self, work: Work) -> None:
        self.loss(work)
        move(self.optimizer, _LR)


def _config(case: TrainingCase, corpus: Path) -> RunConfig:
    if case.model not in PRESETS:
        raise ConfigError(f"there is no preset {case.model!r}: {nearest(case.model, PRESETS)}")
    phase = Phase(
        name="bench",
        tokens=1 << 60,
        context_length=case.context_length,
        batch_tokens=case.row_tokens,
        row_tokens=case.row_tokens,
        peak_lr=_LR,
        weight_decay=0.0,
    )
    return RunConfig(
        model=PRESETS[case.model],
        phases=(phase,),
        corpus=str(corpus),
        device="cpu",
        precision="float32",
    )


def _works(config: RunConfig, corpus: Corpus, number: int) -> list[Work]:
    works = feed(config, corpus, Progress())
    return [next(works) for _ in range(number)]


def _padded(work: Work, batch_size: int, pad_id: int) -> list[PaddedBatch]:
    return [grid for batch in work.batches for grid in padded(batch, batch_size, pad_id)]
