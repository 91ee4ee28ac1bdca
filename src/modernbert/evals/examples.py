"""A model and held-out text in, hidden tokens with the model's guesses out."""

from collections.abc import Sequence
from dataclasses import dataclass

from modernbert.base.rng import generator
from modernbert.data.corpus import Corpus
from modernbert.data.tokenizer import Tokenizer
from modernbert.infer.fill import guess
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.replies import Guess

_AROUND = 120
_SHOWN = 40
_TOP = 4


@dataclass(frozen=True, slots=True)
class Example:
    """A hidden token of a held-out text, and what the model took it for."""

    where: str
    before: str
    answer: str
    after: str
    guesses: Sequence[Guess]
    """Best first."""


def examples_of(model: Pretrained, corpus: Corpus, num_examples: int) -> list[Example]:
    """Hide one word-like token in each of some held-out documents; always the same ones."""
    rng = generator(0, "examples")
    lengths = corpus.lengths("heldout")
    long_enough = [int(i) for i in (lengths > 3).nonzero()[0]]
    chosen = rng.permutation(long_enough)[:num_examples].tolist()
    return [
        _example(
            model, corpus, document, int(rng.random() * max(1, lengths[document] - 2 * _AROUND))
        )
        for document in chosen
    ]


def _example(model: Pretrained, corpus: Corpus, document: int, first: int) -> Example:
    tokens = model.tokenizer
    last = min(int(corpus.lengths("heldout")[document]), first + 2 * _AROUND)
    ids = corpus.read("heldout", document, first, last).tolist()
    hidden = _word_like(tokens, ids)
    asked = [tokens.cls_id, *ids[:hidden], tokens.mask_id, *ids[hidden + 1 :], tokens.sep_id]
    (guesses,) = guess(model, asked, [hidden + 1], _TOP)
    return Example(
        where=corpus.name_of("heldout", document),
        before=tokens.decode(ids[max(0, hidden - _SHOWN) : hidden]),
        answer=tokens.decode(ids[hidden : hidden + 1]),
        after=tokens.decode(ids[hidden + 1 : hidden + _SHOWN]),
        guesses=guesses,
    )


def _word_like(tokens: Tokenizer, ids: list[int]) -> int:
    """Return the place nearest the middle whose token has three letters or more."""
    by_nearness = sorted(range(len(ids)), key=lambda at: abs(at - len(ids) // 2))
    for at in by_nearness:
        if len(tokens.decode(ids[at : at + 1]).strip()) >= 3:
            return at
    return by_nearness[0]
