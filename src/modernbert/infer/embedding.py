"""Texts in, what has a model give them vectors out: dense, sparse, or one for each token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from modernbert.base.errors import ConfigError, NumbersError
from modernbert.base.records import one_of
from modernbert.base.shapes import Float
from modernbert.data.examples import Cut
from modernbert.infer import reading
from modernbert.infer.eight_bits import to_bytes
from modernbert.infer.embed import budget_of
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import Given, ReadText
from modernbert.infer.readouts import EncodedTokens, TextVectors, TokenVectors
from modernbert.infer.replies import Array, Numbers, Sparse
from modernbert.infer.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How texts are read."""

    prompt: str | None = None
    """Name of the folder's prompt that is put before them: None takes its default, "" none."""
    cut: Cut = "right"
    """Where a text that is too long is cut: at its right or left end, or never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """What of a text's vector is given out, and in which numbers."""

    normalize: bool = False
    """Give each vector length 1."""
    dimensions: int | None = None
    """Numbers that are kept, from the first; None keeps all."""
    numbers: Numbers = "float32"
    """int8: whole numbers from -127 to 127, each vector by a scale of its own, for cosines; binary:
    the sign of each number, eight in a byte, the first in its highest bit."""

    def __post_init__(self) -> None:
        """Reject numbers without sense."""
        one_of("numbers", self.numbers, get_args(Numbers))
        if self.dimensions is not None and self.dimensions < 1:
            raise ConfigError(f"dimensions is {self.dimensions}: keep 1 or more")


def embedding(
    model: Pretrained,
    texts: Sequence[Given],
    read: Reading | None = None,
    vectors: Vectors | None = None,
) -> Work[Array]:
    """Return what has a model give each text one dense vector: [S N], in the order of the texts.

    Raises:
        ConfigError: it gives no such vectors, none so long, or has no prompt of this name.
        DataError: a text cannot be read.
    """
    read, vectors = read or Reading(), vectors or Vectors()
    config = model.sentence.config
    if config.is_per_token:
        raise ConfigError("this model gives each token a vector: use token_vectors")
    if config.is_sparse:
        raise ConfigError("this model gives texts sparse vectors: use sparse")
    return text_tensors(model, texts, read).then(lambda found: _given_out(found, vectors))


def sparse_embedding(
    model: Pretrained, texts: Sequence[Given], read: Reading | None = None
) -> Work[list[Sparse]]:
    """Return what has a model weigh the words of its vocabulary for each text.

    Raises:
        ConfigError: it gives no such vectors, or has no prompt of this name.
        DataError: a text cannot be read.
    """
    if not model.sentence.config.is_sparse:
        raise ConfigError(
            "this model gives no sparse vectors: make one that does with "
            "`modernbert train-retriever sparse`"
        )
    return text_tensors(model, texts, read or Reading()).then(lambda rows: [*map(_sparse, rows)])


def token_embedding(
    model: Pretrained, texts: Sequence[Given], *, is_query: bool, cut: Cut = "right"
) -> Work[list[NDArray[np.float32]]]:
    """Return what has a model give each token that counts in late interaction a vector, [T N].

    Raises:
        ConfigError: it gives a vector a text.
        DataError: a text cannot be read.
    """
    return token_tensors(model, texts, is_query=is_query, cut=cut).then(_arrays)


def token_tensors(
    model: Pretrained, texts: Sequence[Given], *, is_query: bool, cut: Cut = "right"
) -> Work[list[Tensor]]:
    """Return the same in tensors; see `token_embedding`."""
    config = model.sentence.config
    if config.late is None:
        raise ConfigError("this model gives each text one vector: use embed")
    late = config.late
    read = [
        ReadText(
            text.ids,
            text.num_read,
            tuple(reading.kept(model.tokenizer, late, text.ids, is_query=is_query)),
        )
        for text in reading.side_of(model.tokenizer, config, texts, is_query=is_query, cut=cut)
    ]
    return Work(TokenVectors(), read, list)


def encoding(
    model: Pretrained, texts: Sequence[Given], read: Reading | None = None
) -> Work[list[NDArray[np.float32]]]:
    """Return what has a model give every token of each text the encoder's own vector, [T D].

    Raises:
        ConfigError: it has no prompt of this name.
        DataError: a text cannot be read.
    """
    read = read or Reading()
    ids, _ = _documents(model, texts, read)
    return Work(EncodedTokens(), [ReadText.of(each) for each in ids], _arrays)


def text_tensors(
    model: Pretrained, texts: Sequence[Given], read: Reading
) -> Work[Float[Tensor, "S N"]]:
    """Return what has a model give each text one vector, dense or sparse, as it computes it.

    Raises:
        ConfigError: it has no prompt of this name.
        DataError: a text cannot be read.
    """
    ids, num_prompt = _documents(model, texts, read)
    readout = TextVectors(num_prompt, budget_of(model.sentence))
    return Work(readout, [ReadText.of(each) for each in ids], lambda rows: torch.stack([*rows]))


def _documents(
    model: Pretrained, texts: Sequence[Given], read: Reading
) -> tuple[list[reading.Ids], int]:
    """Return texts in tokens, and how many of these come before a text."""
    config, tokenizer = model.sentence.config, model.tokenizer
    before = reading.prompt_named(config, read.prompt)
    ids = reading.with_ends(tokenizer, texts, before, config.max_length, read.cut)
    pool = config.pool
    if pool is None or pool.includes_prompt:
        return ids, 0
    return ids, reading.num_prompt_tokens(tokenizer, before, config.max_length)


def _given_out(found: Tensor, vectors: Vectors) -> Array:
    width = found.shape[1]
    if vectors.dimensions is not None and vectors.dimensions > width:
        raise ConfigError(
            f"dimensions is {vectors.dimensions}, and vectors have {width}: keep fewer"
        )
    found = found[:, : vectors.dimensions]
    empty = (~found.any(dim=1)).nonzero()
    if len(empty):
        raise NumbersError(
            f"the model gives text {int(empty[0])} a vector of zeros, which nothing can be compared"
            " with: its weights are damaged"
        )
    if vectors.normalize:
        found = F.normalize(found, dim=-1)
    return in_numbers(np.asarray(found.numpy()), vectors.numbers)


def in_numbers(vectors: NDArray[np.float32], numbers: Numbers) -> Array:
    """Return vectors in another kind of numbers."""
    if numbers == "int8":
        return to_bytes(vectors)[0]
    return np.packbits(vectors > 0, axis=1) if numbers == "binary" else vectors


def _sparse(row: Tensor) -> Sparse:
    (ids,) = row.nonzero(as_tuple=True)
    return Sparse(ids.numpy(), row[ids].numpy())


def _arrays(rows: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    return [np.asarray(row.numpy()) for row in rows]
