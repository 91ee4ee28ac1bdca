"""A text in, what has a model show how one head divides its attention out: a row for each token."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from torch import Tensor

from modernbert.base.errors import ConfigError
from modernbert.base.shapes import Float
from modernbert.batch import PackedBatch
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import ReadText, with_ends
from modernbert.infer.work import Work
from modernbert.model.traces import attention_maps

_TOKENS = 512
"""Tokens of which a map is made at most: it has the square of their number."""


@dataclass(frozen=True, slots=True)
class AttentionMap:
    """How a head of a layer divides its attention, [T T]: a row sums to 1."""

    layer: int
    head: int
    most_tokens: int = _TOKENS

    def __call__(
        self, model: Pretrained, batch: PackedBatch, _: Sequence[ReadText]
    ) -> Sequence[Tensor]:
        """Return a map a document."""
        maps = next(islice(attention_maps(model.encoder, batch), self.layer, None))
        return [each[self.head].float().cpu() for each in maps]


def attending(
    model: Pretrained, text: str, layer: int, head: int, max_length: int = _TOKENS
) -> Work[Float[Tensor, "T T"]]:
    """Return what has a model show a head's attention; longer texts are cut.

    Raises:
        ConfigError: there is no such layer or head, or a graph runs the model.
        DataError: the text holds what is no character.
    """
    config = model.config
    for name, number, count in (
        ("layer", layer, config.num_layers),
        ("head", head, config.num_heads),
    ):
        if not 0 <= number < count:
            raise ConfigError(f"{name} is {number}: this model has 0 to {count - 1}")
    if model.graph is not None:
        raise ConfigError("a graph shows no attention: serve the model without --runtime")
    ids = with_ends(model.tokenizer, [text], "", min(max_length, _TOKENS, config.max_length))
    return Work(AttentionMap(layer, head), [ReadText.of(ids[0])], lambda rows: rows[0])
