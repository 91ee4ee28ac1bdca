"""A late-interaction model's keys in, how it reads texts out, and back.

PyLate writes them into config_sentence_transformers.json; sentence-transformers 6 into
sentence_bert_config.json and the settings of its module MultiVectorMask.
"""

import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from modernbert.base.errors import CheckpointError
from modernbert.model.sentence_config import (
    DenseShape,
    Expansion,
    LateInteraction,
    Normalize,
    SentenceConfig,
)
from modernbert.model.settings import Settings

# PyLate's own, where a file of its says nothing.
_QUERY_LENGTH, _DOCUMENT_LENGTH = 32, 180
_STRATEGIES = {"fixed": True, "min": False}


@dataclass(frozen=True, slots=True)
class LateFiles:
    """The files in which such a model is described."""

    own: Settings
    """config_sentence_transformers.json."""
    text: Settings
    """sentence_bert_config.json."""
    mask: Settings | None
    """Of the module MultiVectorMask; None where there is none."""


def read_late(files: LateFiles, *, is_pylate: bool) -> LateInteraction:
    """Read how texts become vectors of tokens.

    Raises:
        CheckpointError: a value is of another type, or asks for what cannot be done.
    """
    return _of_pylate(files.own) if is_pylate else _of_sentence_transformers(files)


def _of_pylate(own: Settings) -> LateInteraction:
    length = own.get("query_length", int) or _QUERY_LENGTH
    is_attended = bool(own.get("attend_to_expansion_tokens", bool))
    is_expanded = own.get("do_query_expansion", bool) is not False
    words = own.words("skiplist_words")
    return LateInteraction(
        form="ColBERT",
        query_prefix=own.get("query_prefix", str) or "",
        document_prefix=own.get("document_prefix", str) or "",
        query_length=length,
        document_length=own.get("document_length", int) or _DOCUMENT_LENGTH,
        expansion=Expansion(length=length, is_attended=is_attended) if is_expanded else None,
        skipped_words=tuple(string.punctuation) if words is None else words,
    )


def _of_sentence_transformers(files: LateFiles) -> LateInteraction:
    expansion = _expansion(files.text.within("query_expansion"))
    if files.mask is None:
        # Without the mask nothing is left out, and what is not attended to is not scored either.
        is_scored = expansion is not None and expansion.is_attended
        expansion, words, tasks = expansion if is_scored else None, None, None
    else:
        words, tasks = files.mask.words("skiplist_words"), files.mask.words("skiplist_tasks")
        if files.mask.content.get("keep_only_token_ids"):
            raise files.mask.fault("keep_only_token_ids", "for pictures, and only text is read")
    return LateInteraction(
        form="MultiVectorEncoder",
        query_length=files.text.get("query_length", int),
        document_length=files.text.get("document_length", int),
        expansion=expansion,
        skipped_words=words or (),
        skipped_in=("document",) if tasks is None else tasks,
    )


def _expansion(keys: Settings) -> Expansion | None:
    if not keys.content:
        return None
    strategy, length = keys.get("strategy", str), keys.get("length", int)
    if strategy not in _STRATEGIES or not length:
        raise CheckpointError(
            f"{keys.path} expands queries by {strategy!r} to {length!r} tokens: known are "
            f"{', '.join(_STRATEGIES)}, to 1 token or more"
        )
    return Expansion(
        length=length,
        is_attended=bool(keys.get("attend", bool)),
        token=keys.get("token", str),
        is_limit=_STRATEGIES[strategy],
    )


def as_pylate(config: SentenceConfig, is_added_token: Callable[[str], bool]) -> SentenceConfig:
    """Describe a model of sentence-transformers 6 as PyLate does, where that says the same.

    Such a folder is opened by both, and by what reads PyLate's folders.
    """
    late = config.late
    if late is None or late.form == "ColBERT":
        return config
    prefixes = [config.prompt(name) or "" for name in ("query", "document")]
    is_same = (
        _has_steps_of_pylate(config)
        and all(not prefix or is_added_token(prefix) for prefix in prefixes)
        and (not late.skipped_words or late.skipped_in == ("document",))
        and (late.expansion is None or (late.expansion.is_limit and late.expansion.token is None))
        and config.similarity == "maxsim"
    )
    if not is_same:
        return config
    described = replace(
        late,
        form="ColBERT",
        query_prefix=prefixes[0],
        document_prefix=prefixes[1],
        query_length=late.expansion.length if late.expansion else late.query_length,
        document_length=late.document_length or config.max_length,
        skipped_in=("document",),
    )
    length = described.query_length or config.max_length
    return replace(config, similarity="MaxSim", late=replace(described, query_length=length))


def _has_steps_of_pylate(config: SentenceConfig) -> bool:
    """Say whether vectors are projected, and last of all get length 1."""
    if not config.steps:
        return False
    *projections, last = config.steps
    all_project = all(isinstance(step, DenseShape) for step in projections)
    return bool(projections) and all_project and isinstance(last, Normalize)


def pylate_keys(config: SentenceConfig, late: LateInteraction) -> dict[str, Any]:
    """Return what PyLate reads in config_sentence_transformers.json."""
    expansion = late.expansion
    return {
        "query_prefix": late.query_prefix,
        "document_prefix": late.document_prefix,
        "query_length": late.query_length or config.max_length,
        "document_length": late.document_length or config.max_length,
        "do_query_expansion": expansion is not None,
        "attend_to_expansion_tokens": expansion is not None and expansion.is_attended,
        "skiplist_words": list(late.skipped_words),
    }


def text_keys(late: LateInteraction) -> dict[str, Any]:
    """Return what sentence-transformers 6 reads in sentence_bert_config.json."""
    expansion = late.expansion
    names = {is_limit: name for name, is_limit in _STRATEGIES.items()}
    return {
        "query_length": late.query_length,
        "document_length": late.document_length,
        "query_expansion": expansion
        and {
            "strategy": names[expansion.is_limit],
            "attend": expansion.is_attended,
            "token": expansion.token,
            "length": expansion.length,
        },
    }


def mask_keys(late: LateInteraction) -> dict[str, Any]:
    """Return the settings of the module MultiVectorMask."""
    return {
        "skiplist_words": list(late.skipped_words),
        "skiplist_tasks": list(late.skipped_in),
        "keep_only_token_ids": None,
    }
