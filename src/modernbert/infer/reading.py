"""Texts in, the token ids that a model reads of them out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from modernbert.base.errors import ConfigError, DataError
from modernbert.data.examples import Cut
from modernbert.data.tokenizer import Ids, Tokenizer
from modernbert.model.sentence_config import Expansion, LateInteraction, SentenceConfig

Given = str | Sequence[int]
"""A text, or the ids of its tokens."""
Text = str | tuple[str, ...]
"""A text, or a pair of texts."""
_MOST_PARTS = 2


@dataclass(frozen=True, slots=True)
class ReadText:
    """What a model reads of one text."""

    ids: Ids
    num_read: int
    """Tokens of the text itself, [CLS] and [SEP] included; those behind fill a query up."""
    places: tuple[int, ...] | None = None
    """Where the tokens stand that are wanted; None wants all."""

    @classmethod
    def of(cls, ids: Ids) -> "ReadText":
        """Want all tokens of a text."""
        return cls(ids, len(ids))


def with_ends(
    tokenizer: Tokenizer,
    given: Sequence[Given],
    prompt: str,
    max_length: int,
    cut: Cut = "right",
) -> list[Ids]:
    """Encode texts behind a prompt, [CLS] and [SEP] around them, cut to a length in tokens.

    In place of a text there may be the ids of its tokens, with [CLS] and [SEP] or without.

    Raises:
        DataError: texts are none or a single one, one is no text or holds what is no character, an
            id stands for no token, or a text is longer and never to be cut.
    """
    check_list(given)
    if not len(given):
        raise DataError("there is no text to read: give at least one")
    room = max_length - 2
    # One token more tells that there are more.
    limit = {"right": room, "left": None, "never": room + 1}[cut]
    bodies = _bodies(tokenizer, given, prompt, limit)
    if cut == "never":
        _check_lengths(bodies, room)
    return [
        np.array(
            [tokenizer.cls_id, *(ids[-room:] if cut == "left" else ids[:room]), tokenizer.sep_id],
            dtype=np.int64,
        )
        for ids in bodies
    ]


def _bodies(
    tokenizer: Tokenizer, given: Sequence[Given], prompt: str, limit: int | None
) -> list[Ids]:
    """Return prompts and texts in tokens."""
    texts = [each for each in given if isinstance(each, str)]
    encoded = iter(tokenizer.encode_texts(texts, prompt, limit))
    if len(texts) == len(given):
        return list(encoded)
    (before,) = tokenizer.encode_texts([""], prompt)
    return [
        next(encoded)
        if isinstance(each, str)
        else np.concatenate([before, _checked_ids(tokenizer, each, number)])
        for number, each in enumerate(given)
    ]


def _checked_ids(tokenizer: Tokenizer, ids: Sequence[int], number: int) -> Ids:
    """Take the tokens of a text that is given in ids, without its ends."""
    if not isinstance(ids, list | tuple | np.ndarray):
        raise DataError(f"text {number} is of type {type(ids).__name__}: give texts")
    if not all(isinstance(each, int | np.integer) for each in ids):
        raise DataError(
            f"text {number} is a list of other things than ids: give a text, or ids of its tokens"
        )
    wrong = next((each for each in ids if not 0 <= each < tokenizer.vocab_size), None)
    if wrong is not None:
        raise DataError(
            f"text {number} holds the id {wrong}, and this model's tokenizer has ids from 0 to "
            f"{tokenizer.vocab_size - 1}: encode with its own, or give the text (LangChain: "
            "check_embedding_ctx_length=False)"
        )
    has_ends = len(ids) > 1 and ids[0] == tokenizer.cls_id and ids[-1] == tokenizer.sep_id
    return np.array(ids[1:-1] if has_ends else ids, dtype=np.int64)


def _check_lengths(bodies: Sequence[Ids], room: int) -> None:
    for number, ids in enumerate(bodies):
        if len(ids) > room:
            raise DataError(
                f"text {number} has more than the {room + 2} tokens that are read: shorten it, or "
                "let it be cut"
            )


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
    tokenizer: Tokenizer,
    config: SentenceConfig,
    texts: Sequence[Given],
    *,
    is_query: bool,
    cut: Cut = "right",
) -> list[ReadText]:
    """Encode queries or documents of a model with a vector a token."""
    late = config.late
    assert late is not None
    expansion = late.expansion if is_query else None
    length = _length(late, expansion, is_query=is_query) or config.max_length
    prompt = config.prompt("query" if is_query else "document") or ""
    read = with_ends(tokenizer, texts, prompt, length, cut)
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


def parts_of(text: Text) -> tuple[str, ...]:
    """Return a text alone, or the two of a pair.

    Raises:
        DataError: it is neither.
    """
    parts = (text,) if isinstance(text, str) else text
    is_known = isinstance(parts, tuple | list) and 1 <= len(parts) <= _MOST_PARTS
    if not is_known or not all(isinstance(part, str) for part in parts):
        raise DataError(f"{str(text)[:60]} is neither a text nor a pair of texts: give either")
    return tuple(parts)


def check_as_many(questions: Sequence[object], options: Sequence[object]) -> None:
    """Refuse questions of which not each has a list of options.

    Raises:
        DataError: they are not as many.
    """
    if len(questions) != len(options):
        raise DataError(
            f"there are {len(questions)} questions and {len(options)} lists of options: give one "
            "list for each question"
        )


def check_questions(asked: Sequence[tuple[str, str]]) -> None:
    """Refuse what is no list of questions, each with the text that is to answer it.

    Raises:
        DataError: it is none, or one lacks either.
    """
    check_list(asked)
    for each in asked:
        is_pair = isinstance(each, tuple | list) and len(each) == 2
        if not is_pair or not all(isinstance(part, str) and part.strip() for part in each):
            raise DataError(
                f"{str(each)[:60]!r} is no pair of a question and a text: give both, none empty"
            )
