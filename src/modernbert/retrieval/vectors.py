"""A model and texts in, vectors out as they are compared: of queries, of documents, of chunks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from modernbert.base.errors import ConfigError
from modernbert.data.pieces import Offsets
from modernbert.data.tokenizer import Ids
from modernbert.infer import embed, reading
from modernbert.infer.embedding import Reading as TextReading
from modernbert.infer.embedding import text_tensors, token_embedding
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.work import Work, computed
from modernbert.model.sentence_config import SentenceConfig
from modernbert.retrieval.compress import pooled_all
from modernbert.retrieval.index_files import Kind, Reading
from modernbert.retrieval.segment import Encoded

DOCUMENT_PROMPTS = ("document", "passage", "corpus")
QUERY_PROMPTS = ("query",)
_FEWEST = 8
"""Tokens of a text."""


def compared(vectors: Tensor, similarity: str) -> Tensor:
    """Return vectors of texts so that their products are what the model compares by."""
    return F.normalize(vectors, dim=-1) if similarity == "cosine" else vectors


def prompt_among(config: SentenceConfig, names: Sequence[str]) -> str | None:
    """Return the first of these prompts that a folder has; None takes its default."""
    return next((name for name in names if name in config.prompts), None)


def kind_of(config: SentenceConfig) -> Kind:
    """Tell what kind of vectors a model gives.

    Raises:
        ConfigError: it compares them in a way that is not known here.
    """
    if config.late is not None:
        return "late"
    check_similarity(config.similarity)
    return "sparse" if config.is_sparse else "dense"


def check_similarity(similarity: str) -> None:
    """Refuse what search cannot compare by.

    Raises:
        ConfigError: it is neither of the known ones.
    """
    if similarity not in ("cosine", "dot"):
        raise ConfigError(
            f"the model compares vectors by {similarity!r}: search knows cosine, dot and MaxSim"
        )


def length_read(model: Pretrained) -> int:
    """Return at how many tokens documents are cut."""
    config = model.sentence.config
    return (config.late and config.late.document_length) or config.max_length


def check_length(asked: int, longest: int) -> None:
    """Refuse a length, in tokens, that a model does not read.

    Raises:
        ConfigError: it is too short or too long.
    """
    if not _FEWEST <= asked <= longest:
        raise ConfigError(
            f"--max-length is {asked}: this model reads {_FEWEST} to {longest} tokens of a text"
        )


def settled(model: Pretrained, wanted: Reading) -> Reading:
    """Let a model read documents as wanted, and say how that is where it was left open.

    Raises:
        ConfigError: the model cannot.
    """
    config, longest = model.sentence.config, model.config.max_length
    kind, length = kind_of(config), wanted.max_length
    if length:
        check_length(length, longest)
    if wanted.long != "whole" and kind != "dense":
        raise ConfigError(
            f"--long {wanted.long} needs a model with one vector a text, and this one's are "
            f"{kind}: leave it out"
        )
    if (wanted.pool > 1 and kind != "late") or (wanted.numbers != "float32" and kind == "sparse"):
        raise ConfigError(f"vectors that are {kind} cannot be compressed so: leave --compress out")
    if wanted.long == "late-chunks":
        _check_late(model)
    if length and length != length_read(model):
        late = config.late and replace(config.late, document_length=length)
        model.sentence.config = replace(config, max_length=length, late=late)
    return replace(wanted, max_length=length_read(model))


def _check_late(model: Pretrained) -> None:
    config = model.sentence.config
    modes = config.pool.modes if config.pool else ()
    if modes != ("mean",):
        raise ConfigError(
            f"late chunks are means of tokens, and this model takes {' and '.join(modes)}: "
            "say --long chunks"
        )
    prompt = _prompt_text(config)
    ids = model.tokenizer.encode_texts(["x"], prompt)[0]
    is_text = np.array_equal(ids, model.tokenizer.encode_with_offsets([f"{prompt}x"])[0][0])
    if not is_text or (prompt and config.pool and not config.pool.includes_prompt):
        raise ConfigError(
            f"late chunks need a prompt that is read like the text, and {prompt!r} is not: "
            "say --long chunks"
        )


def encode_queries(model: Pretrained, queries: Sequence[str]) -> list[NDArray[np.float32]]:
    """Return of each query its vector [1 N], or a vector a token [T N]."""
    return computed(model, query_encoding(model, queries))


def query_encoding(model: Pretrained, queries: Sequence[str]) -> Work[list[NDArray[np.float32]]]:
    """Return what `encode_queries` has a model do."""
    config = model.sentence.config
    if config.late is not None:
        return token_embedding(model, queries, is_query=True)
    how = TextReading(prompt=prompt_among(config, QUERY_PROMPTS))
    return text_tensors(model, queries, how).then(
        lambda rows: [_array(row[None]) for row in compared(rows, config.similarity)]
    )


def encode_documents(
    model: Pretrained, texts: Sequence[str], how: Reading
) -> tuple[Encoded, list[bool]]:
    """Return the vectors of documents, and of each document whether it was cut.

    Raises:
        DataError: a text holds what is no character.
    """
    config = model.sentence.config
    if how.long == "chunks":
        return _chunks(model, texts, how)
    if how.long == "late-chunks":
        return _late_chunks(model, texts, how)
    if config.late is not None:
        return _tokens(model, texts, how)
    ids, is_cut = _read(model, texts, how.max_length)
    prompt = _prompt_text(config)
    count = reading.num_prompt_tokens(model.tokenizer, prompt, how.max_length)
    vectors = embed.vectors_of_texts(model.runs, model.sentence, ids, count)
    values = _array(compared(vectors, config.similarity))
    if config.is_sparse:
        return _sparse(values), is_cut
    return Encoded(values, np.ones(len(values), dtype=np.int64)), is_cut


def _sparse(values: NDArray[np.float32]) -> Encoded:
    rows, tokens = np.nonzero(values)
    counts = np.bincount(rows, minlength=len(values))
    return Encoded(values[rows, tokens], counts, tokens=tokens.astype(np.int32))


def _tokens(model: Pretrained, texts: Sequence[str], how: Reading) -> tuple[Encoded, list[bool]]:
    config = model.sentence.config
    late, length = config.late, how.max_length
    assert late is not None
    more = replace(config, max_length=length + 1, late=replace(late, document_length=length + 1))
    read = reading.side_of(model.tokenizer, more, texts, is_query=False)
    is_cut = [len(each.ids) > length for each in read]
    ids = [cut_to(each.ids, length) for each in read]
    whole = [reading.ReadText(each, len(each)) for each in ids]
    vectors = embed.vectors_of_tokens(model.runs, model.sentence, whole)
    kept = [reading.kept(model.tokenizer, late, each, is_query=False) for each in ids]
    documents = [_array(x[place]) for x, place in zip(vectors, kept, strict=True)]
    documents = pooled_all(documents, how.pool)
    counts = np.array([len(each) for each in documents], dtype=np.int64)
    return Encoded(np.concatenate(documents), counts), is_cut


def _chunks(model: Pretrained, texts: Sequence[str], how: Reading) -> tuple[Encoded, list[bool]]:
    """Read each chunk as a text of its own."""
    tokens = model.tokenizer.encode_with_offsets(texts)
    prompt = _prompt_text(model.sentence.config)
    before = reading.num_prompt_tokens(model.tokenizer, prompt, how.max_length)
    most = max(1, min(how.chunk_tokens, how.max_length - max(2, 1 + before)))
    spans = [
        _spans(text, places, cuts(places, most))
        for text, (_, places) in zip(texts, tokens, strict=True)
    ]
    parts = [text[a:b] for text, rows in zip(texts, spans, strict=True) for a, b in rows]
    config = model.sentence.config
    vectors = model.embed(parts, prompt_among(config, DOCUMENT_PROMPTS))
    counts = np.array([len(rows) for rows in spans], dtype=np.int64)
    flat = np.array([row for rows in spans for row in rows], dtype=np.int32)
    found = Encoded(_array(compared(vectors, config.similarity)), counts, flat)
    return found, [False] * len(texts)


def _late_chunks(
    model: Pretrained, texts: Sequence[str], how: Reading
) -> tuple[Encoded, list[bool]]:
    """Read each document as a whole, and take the mean over each chunk's tokens."""
    config = model.sentence.config
    prompt = _prompt_text(config)
    room = how.max_length - 2
    tokenizer = model.tokenizer
    documents: list[Ids] = []
    spans, parts, is_cut = [], [], []
    for text, (ids, places) in zip(
        texts, tokenizer.encode_with_offsets([prompt + text for text in texts]), strict=True
    ):
        ends = cuts(places[:room], how.chunk_tokens)
        documents.append(np.array([tokenizer.cls_id, *ids[:room], tokenizer.sep_id]))
        lengths = np.diff([0, *ends]) if ends else np.array([0])
        lengths[0] += 1  # [CLS]
        lengths[-1] += 1  # [SEP]
        parts.append(lengths.tolist())
        spans.append(_spans(text, places[:room] - len(prompt), ends or [0]))
        is_cut.append(len(ids) > room)
    vectors = embed.vectors_of_parts(model.runs, model.sentence, documents, parts)
    counts = np.array([len(each) for each in parts], dtype=np.int64)
    flat = np.array([row for rows in spans for row in rows], dtype=np.int32)
    return Encoded(_array(compared(torch.cat(vectors), config.similarity)), counts, flat), is_cut


def cuts(places: Offsets, most: int) -> list[int]:
    """Return after which tokens a text is cut, its end included: between words where it can be.

    `places` [T 2] are the characters of each token.
    """
    ends, start = [], 0
    while len(places) - start > most:
        stop = start + most
        for end in range(stop, start + most // 2, -1):
            if places[end, 0] > places[end - 1, 1]:
                stop = end
                break
        ends.append(stop)
        start = stop
    return [*ends, len(places)] if len(places) else []


def _spans(text: str, places: Offsets, ends: Sequence[int]) -> list[tuple[int, int]]:
    """Return the characters from the begin of each chunk to its end."""
    if not len(places):
        return [(0, len(text))]
    starts = [0, *ends[:-1]]
    return [
        (max(0, int(places[a, 0])), max(0, int(places[b - 1, 1])))
        for a, b in zip(starts, ends, strict=True)
    ]


def _read(model: Pretrained, texts: Sequence[str], length: int) -> tuple[list[Ids], list[bool]]:
    """Encode texts behind the documents' prompt, and say which ones were cut."""
    prompt = _prompt_text(model.sentence.config)
    ids = reading.with_ends(model.tokenizer, texts, prompt, length + 1)
    return [cut_to(each, length) for each in ids], [len(each) > length for each in ids]


def cut_to(ids: Ids, length: int) -> Ids:
    """Leave out what is too much, and keep [SEP]."""
    return ids if len(ids) <= length else np.concatenate([ids[: length - 1], ids[-1:]])


def _prompt_text(config: SentenceConfig) -> str:
    return reading.prompt_named(config, prompt_among(config, DOCUMENT_PROMPTS))


def _array(vectors: Tensor) -> NDArray[np.float32]:
    return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)
