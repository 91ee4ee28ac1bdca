"""A run in, hidden tokens of its held-out text with the model's guesses out."""

import torch

from modernbert.base.rng import generator
from modernbert.batch import pack
from modernbert.train.report import Example
from modernbert.train.run import Run

_AROUND = 120
_SHOWN = 40
_TOP = 4


def examples_of(run: Run, num_examples: int) -> list[Example]:
    """Hide one word-like token in each of some held-out documents; always the same ones."""
    corpus, rng = run.corpus, generator(0, "examples")
    lengths = corpus.lengths("heldout")
    long_enough = [int(i) for i in (lengths > 3).nonzero()[0]]
    chosen = rng.permutation(long_enough)[:num_examples].tolist()
    was_training = run.model.training
    run.model.eval()
    shown = [_example(run, document, int(lengths[document]), rng.random()) for document in chosen]
    run.model.train(was_training)
    return shown


def _example(run: Run, document: int, length: int, where: float) -> Example:
    tokens = run.corpus.tokenizer
    first = int(where * max(1, length - 2 * _AROUND))
    ids = run.corpus.read("heldout", document, first, min(length, first + 2 * _AROUND)).tolist()
    hidden = _word_like(run, ids)
    asked = [tokens.cls_id, *ids[:hidden], tokens.mask_id, *ids[hidden + 1 :], tokens.sep_id]
    batch = pack([asked]).to(run.autocast.device)
    with torch.no_grad(), run.autocast():
        shares = run.model(batch)[hidden + 1].float().softmax(-1)
    best = shares.topk(_TOP)
    return Example(
        where=run.corpus.name_of("heldout", document),
        before=tokens.decode(ids[max(0, hidden - _SHOWN) : hidden]),
        answer=tokens.decode(ids[hidden : hidden + 1]),
        after=tokens.decode(ids[hidden + 1 : hidden + _SHOWN]),
        guesses=[
            (tokens.decode([token]), share)
            for token, share in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ],
    )


def _word_like(run: Run, ids: list[int]) -> int:
    """Return the place nearest the middle whose token has three letters or more."""
    by_nearness = sorted(range(len(ids)), key=lambda at: abs(at - len(ids) // 2))
    for at in by_nearness:
        if len(run.corpus.tokenizer.decode(ids[at : at + 1]).strip()) >= 3:
            return at
    return by_nearness[0]
