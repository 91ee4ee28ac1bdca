"""A model and texts in, its outputs out; two such outputs in, how far they lie apart out."""

from dataclasses import dataclass

import torch
from torch import Tensor

from modernbert.batch import pack
from modernbert.data.tokenizer import Tokenizer
from modernbert.infer.pretrained import Pretrained

# In several scripts, so that few rows of the vocabulary are left out; the last is repeated until
# it is longer than a local layer's window.
TEXTS = (
    "The capital of France is Paris.",
    "def add(a, b):\n    return a + b  # Größe, 東京, привет",
    "A document that is longer than the window shows which layers are local, for what lies far "
    "apart meets only in the others. ",
)
_WINDOWS = 3
_HIDDEN = slice(3, None, 7)
"""Places of [MASK]."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the outputs of two models lie apart."""

    largest: float
    """Largest difference of two numbers; NaN where a number is none."""
    same_top: int
    """Rows whose largest number is in the same place: of a head, its first choice."""
    rows: int


def documents(tokenizer: Tokenizer, window: int, longest: int) -> list[list[int]]:
    """Return some short documents and one longer than the window, as token ids."""
    *short, sentence = (tokenizer.encode(text)[1:-1].tolist() for text in TEXTS)
    length = min(longest, _WINDOWS * window) - 2
    found = []
    for ids in (*short, sentence * (1 + length // len(sentence))):
        kept = ids[:length]
        kept[_HIDDEN] = [tokenizer.mask_id] * len(kept[_HIDDEN])
        found.append([tokenizer.cls_id, *kept, tokenizer.sep_id])
    return found


@torch.no_grad()
def outputs(model: Pretrained, given: list[list[int]]) -> list[Tensor]:
    """Return what a model says of each document, each read alone."""
    return [model(pack([ids])) for ids in given]


def vectors(model: Pretrained) -> list[Tensor]:
    """Return what a model makes of some texts behind its encoder, nothing where a head scores."""
    is_scored = model.head is not None and model.head.config.kind != "masked_lm"
    if not is_scored and model.sentence.config.late is not None:
        sides = (model.token_vectors(TEXTS, is_query=is_query) for is_query in (True, False))
        return [rows for side in sides for rows in side]
    return [] if is_scored or model.sentence.config.is_per_token else [*model.embed(TEXTS)]


def compare(ones: list[Tensor], others: list[Tensor]) -> Agreement:
    """Compare outputs for the same documents, number by number."""
    one, other = (torch.cat([*map(torch.atleast_2d, x)]).double() for x in (ones, others))
    same = one.argmax(-1) == other.argmax(-1)
    return Agreement(float((one - other).abs().max()), int(same.sum()), len(one))
