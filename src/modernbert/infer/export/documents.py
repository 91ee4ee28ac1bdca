"""Texts or pairs in, what a model and its graph are to read alike out."""

from collections.abc import Sequence

from modernbert.base.errors import DataError
from modernbert.data.examples import read_texts
from modernbert.data.tokenizer import Ids
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import Text, parts_of, with_ends

_LONG = 2048
"""Tokens of the longest text that is read: a graph of ONNX needs gigabytes for 8192."""
_TIMES = (0, 1, 4, 64)
"""How often a text that is odd says a word."""
_WORD = 20
"""Letters of a word; scripts without spaces have none."""


def read_for_proof(model: Pretrained, texts: Sequence[Text]) -> list[Ids]:
    """Return texts or pairs as a model reads them, a long text made of all, and odd ones.

    Raises:
        DataError: there is no text, or one holds what is no character.
    """
    limit = min(model.sentence.config.max_length, model.max_length)
    parts = [parts_of(text) for text in texts]
    if not parts:
        raise DataError("there is no text to read: give at least one")
    found = [each.ids for each in read_texts(parts, model.tokenizer, limit)]
    whole = "\n".join(part for each in parts for part in each)
    (long,) = with_ends(model.tokenizer, [whole], "", min(limit, _LONG))
    odd = with_ends(model.tokenizer, _odd(whole), "", limit)
    # Second, where no form that looks at texts before it is proven sees it.
    return [found[0], long, *odd, *found[1:]]


def _odd(whole: str) -> list[str]:
    """Return texts whose numbers are larger than those of sentences: few words, or one again.

    A form that looks at every second text sees one word, and is proven on another.
    """
    found = (word[:_WORD] for word in whole.split())
    words = [word for word in found if any(map(str.isalnum, word))] or [""]
    return [" ".join([word] * number) for number in _TIMES for word in (words[0], words[-1])]
