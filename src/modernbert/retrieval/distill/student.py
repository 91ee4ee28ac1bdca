"""A teacher in, a new small model whose words begin with the teacher's vectors of them out."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from modernbert.base.errors import ConfigError
from modernbert.base.log import meter
from modernbert.data.tokenizer import Tokenizer
from modernbert.infer.pretrained import Pretrained
from modernbert.model.config import EncoderConfig
from modernbert.model.init import build
from modernbert.retrieval.distill.lesson import projected
from modernbert.retrieval.distill.options import DistillOptions
from modernbert.retrieval.embedder import Embedder

_HEAD_WIDTHS = (64, 32)
_ROWS = 64
"""The embedding table has a multiple of so many rows, which keeps matrix kernels fast."""
_AT_ONCE = 4096
_INSIDE = "##"
"""How WordPiece marks what does not begin a word."""


def new_student(
    options: DistillOptions, teacher: Embedder, basis: NDArray[np.float32] | None, width: int
) -> Pretrained:
    """Make a model that reads texts by the teacher's tokenizer.

    Each word's row of the embedding table is the teacher's vector of this word alone, less the mean
    of all words', as static embeddings are distilled (model2vec): before anything else is learned,
    texts that share words, or have words alike, have vectors alike.

    Raises:
        ConfigError: the sizes do not fit each other.
    """
    tokenizer = teacher.tokenizer
    model = build(shape_of(options, tokenizer, width), options.seed, None)
    ids = tokenizer.ordinary_ids
    vectors = _of_words(teacher, [_word(tokenizer.decode([each])) for each in ids.tolist()])
    rows = vectors if basis is None else projected(vectors, basis)
    rows = rows - rows.mean(0)
    with torch.no_grad():
        table = model.encoder.embeddings.tok_embeddings.weight
        table[torch.from_numpy(ids)] = torch.from_numpy(rows)
    return Pretrained(model, tokenizer)


def shape_of(options: DistillOptions, tokenizer: Tokenizer, width: int) -> EncoderConfig:
    """Return the shape of a new student.

    Raises:
        ConfigError: the sizes do not fit each other.
    """
    return EncoderConfig(
        vocab_size=-(-tokenizer.vocab_size // _ROWS) * _ROWS,
        dim=width,
        mlp_dim=options.mlp_dim or 2 * width,
        num_layers=options.num_layers,
        num_heads=options.num_heads or _heads(width),
        pad_id=tokenizer.pad_id,
        cls_id=tokenizer.cls_id,
        sep_id=tokenizer.sep_id,
    )


def _word(spelled: str) -> str:
    """Return what is read of a token: of the inside of a word, its letters."""
    return spelled.removeprefix(_INSIDE) or " "


def _heads(width: int) -> int:
    for each in _HEAD_WIDTHS:
        if width % each == 0:
            return width // each
    raise ConfigError(f"dim is {width}: give a multiple of {_HEAD_WIDTHS[-1]}, or num_heads too")


def _of_words(teacher: Embedder, words: Sequence[str]) -> NDArray[np.float32]:
    found = []
    with meter("the teacher reads words", len(words)) as bar:
        for start in range(0, len(words), _AT_ONCE):
            found.append(teacher.vectors(words[start : start + _AT_ONCE]))
            bar.at(start + len(found[-1]))
    return np.concatenate(found)
