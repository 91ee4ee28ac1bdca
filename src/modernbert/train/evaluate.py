"""Held-out text in, loss and masked accuracy of each source out; training does not notice it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from modernbert.base import dist
from modernbert.base.device import Autocast
from modernbert.base.rng import key
from modernbert.base.shapes import Float
from modernbert.data.chunks import Rows
from modernbert.data.corpus import Corpus
from modernbert.data.heldout import heldout
from modernbert.model.model import Model
from modernbert.tasks.mlm import GuessedBatch, MaskedLM
from modernbert.train.parallel import divide_again

MASK_RATE = 0.15
"""Every ModernBERT evaluation hides 15%, whatever training hides (paper, section 2.2)."""

_ROW_TOKENS = 16_384


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one source's held-out text gave."""

    source: str
    loss: float
    """Mean cross-entropy of the hidden tokens, in nats."""
    masked_accuracy: float
    most_frequent_token_accuracy: float
    """Share of the hidden tokens that are the training split's most frequent token."""
    hidden: int
    """Tokens that were hidden."""


def evaluate(
    model: Model, corpus: Corpus, autocast: Autocast, context_length: int, tokens: int
) -> list[Evaluation]:
    """Measure every source that has held-out text, on at most so many tokens of each.

    The hidden positions are the same in every call, so two evaluations can be compared.
    """
    task = MaskedLM.of(corpus.tokenizer, MASK_RATE, key(0, "evaluation"))
    usual = int(corpus.unigram_counts().argmax())
    was_training = model.training
    model.eval()
    measured = []
    for source in corpus.sources("heldout"):
        sums = torch.zeros(4, dtype=torch.float64)
        found = heldout(
            corpus,
            source,
            context_length=context_length,
            micro_batch_tokens=max(_ROW_TOKENS, context_length),
            max_tokens=tokens,
        )
        for rows, is_counted in _dealt(list(found)):
            batch = task.collate(rows).to(autocast.device)
            measures = _sums(model, task, batch, autocast, usual)
            sums += measures if is_counted else 0.0
        total, correct, frequent, hidden = dist.total(sums.tolist(), autocast.device)
        if hidden:
            shares = (total / hidden, correct / hidden, frequent / hidden)
            measured.append(Evaluation(source, *shares, int(hidden)))
    model.train(was_training)
    divide_again(model)
    return measured


def _dealt(rows: list[Rows]) -> Iterator[tuple[Rows, bool]]:
    """Yield this rank's rows, and whether they count: where others have more, one is repeated.

    Ranks that hold parts of a model run it together or not at all.
    """
    for first in range(0, len(rows), dist.world_size()):
        index = first + dist.rank()
        yield rows[min(index, len(rows) - 1)], index < len(rows)


def _sums(
    model: Model, task: MaskedLM, batch: GuessedBatch, autocast: Autocast, usual: int
) -> Float[Tensor, "4"]:
    with torch.no_grad(), autocast():
        loss = task.loss(model, batch)
    frequent = (batch.targets == usual).sum()
    counts = [loss.total, loss.num_correct, frequent, torch.tensor(task.count(batch))]
    return torch.stack([number.cpu().double() for number in counts])


def overall(parts: list[Evaluation]) -> Evaluation:
    """Return the mean over all hidden tokens of all sources."""
    hidden = sum(part.hidden for part in parts)
    assert hidden
    return Evaluation(
        "all",
        sum(p.loss * p.hidden for p in parts) / hidden,
        sum(p.masked_accuracy * p.hidden for p in parts) / hidden,
        sum(p.most_frequent_token_accuracy * p.hidden for p in parts) / hidden,
        hidden,
    )
