"""Texts in, the token ids that a model reads of them out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from modernbert.base.errors import ConfigError, DataError
from modernbert.data.tokenizer import Ids, Tokenizer
from modernbert.model.sentence_config import Expansion, LateInteraction, SentenceConfig


@dataclass(frozen=True, slots=True)
class ReadText:
    """What a model reads of one text."""

    ids: Ids
    num_read: int
    """Tokens of the text itself, [CLS] and [SEP] included; those behind fill a query up."""


def with_ends(
    tokenizer: Tokenizer, texts: Sequence[str], prompt: str, max_length: int
) -> list[Ids]:
    """Encode texts behind a prompt, [CLS] and [SEP] around them, cut to a length in tokens.

    Raises:
        DataError: texts are none or a single one, one is no text or holds what is no character.
    """
    check_list(texts)
    if not len(texts):
        raise DataError("there is no text to read: give at least one")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"text {number} is of type {type(text).__name__}: give texts")
    room = max_length - 2
    return [
        np.array([tokenizer.cls_id, *ids[:room], tokenizer.sep_id], dtype=np.int64)
        for ids in tokenizer.encode_texts(texts, prompt, room)
    ]


def check_list(given: object, name: str = "texts") -> None:
    """Refuse what is no list, or one text: its characters would be taken for texts.

    Raises:
        DataError: it is either.
    """
    is_text = isinstance(given, str | bytes)
    if is_text or not isinstance(given, Collection):
        what = "a single text" if is_text else f"of type {type(given).__name__}"
        raise DataError(f"{name} is {what}: give a list of texts")


def prompt_named(config: SentenceConfig, name: str | None) -> str:
    """Return a prompt's text; without a name the folder's default, which may be none.

    Raises:
        ConfigError: there is no prompt of this name.
    """
    name = config.default_prompt if name is None else name
    text = "" if not name else config.prompt(name)
    if text is None:
        known = ", ".join({"query": "", "document": "", **config.prompts})
        raise ConfigError(f"the model has no prompt {name!r}: known are {known}")
    return text


def num_prompt_tokens(tokenizer: Tokenizer, prompt: str, max_length: int) -> int:
    """Count the tokens before a text: [CLS] and the prompt; 0 without a prompt."""
    if not prompt:
        return 0
    (alone,) = with_ends(tokenizer, [""], prompt, max_length)
    return len(alone) - 1


def side_of(
    tokenizer: Tokenizer, config: SentenceConfig, texts: Sequence[str], *, is_query: bool
) -> list[ReadText]:
    """Encode queries or documents of a model with a vector a token."""
    late = config.late
    assert late is not None
    expansion = late.expansion if is_query else None
    length = _length(late, expansion, is_query=is_query) or config.max_length
    prompt = config.prompt("query" if is_query else "document") or ""
    read = with_ends(tokenizer, texts, prompt, length)
    return [ReadText(_filled(tokenizer, ids, expansion), len(ids)) for ids in read]


def kept(tokenizer: Tokenizer, late: LateInteraction, ids: Ids, *, is_query: bool) -> list[int]:
    """Return the places of the tokens whose vectors count."""
    if ("query" if is_query else "document") not in late.skipped_in:
        return list(range(len(ids)))
    skipped = {tokenizer.id_of(word) for word in late.skipped_words}
    return [place for place, token in enumerate(ids.tolist()) if token not in skipped]


def _length(late: LateInteraction, expansion: Expansion | None, *, is_query: bool) -> int | None:
    if expansion is None:
        return late.query_length if is_query else late.document_length
    if expansion.is_limit:
        return expansion.length
    return late.query_length and max(late.query_length, expansion.length)


def _filled(tokenizer: Tokenizer, ids: Ids, expansion: Expansion | None) -> Ids:
    if expansion is None or len(ids) >= expansion.length:
        return ids
    filler = tokenizer.mask_id if expansion.token is None else tokenizer.id_of(expansion.token)
    if filler is None:
        raise ConfigError(
            f"queries are filled up with {expansion.token!r}, which the tokenizer does not have: "
            "the folder's files do not belong together"
        )
    return np.concatenate([ids, np.full(expansion.length - len(ids), filler, dtype=np.int64)])
