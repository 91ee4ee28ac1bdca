"""Texts in, a tokenizer of ModernBERT's kind that fits them out."""

from collections.abc import Iterator

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer

from modernbert.base.errors import ConfigError, DataError
from modernbert.data.tokenizer import Tokenizer

SPECIALS = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
MULTIPLE = 64
"""Embedding tables of a multiple of this many rows are what matrix units like."""
SMALLEST = 320
_UNIT_CHARS = 1 << 16


def train(texts: Iterator[str], vocab_size: int, *, sample_bytes: int = 100_000_000) -> Tokenizer:
    """Train a byte-level BPE on a sample spread evenly over the texts.

    The same texts give the same tokenizer. Needs memory for four times the sample and 70 MB, as
    measured on English text and code, however much text there is: training on everything is what
    runs out of memory (huggingface/tokenizers#1681).

    Raises:
        ConfigError: the size is no multiple of 64 or too small, or the sample is empty.
        DataError: there is no text.
    """
    check_size(vocab_size)
    if sample_bytes < 1:
        raise ConfigError(f"sample_bytes is {sample_bytes}: give at least 1")
    sample = thinned(_units(texts), sample_bytes)
    if not sample:
        raise DataError("there is no text to train a tokenizer on: give files that hold some")
    inner = _untrained()
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        show_progress=False,
        special_tokens=[_special(name) for name in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    inner.train_from_iterator(iter(sample), trainer)
    # A small text runs out of pairs before the vocabulary is full. As in ModernBERT's tokenizer
    # the places left over are tokens that text may use later, hence not special.
    missing = vocab_size - inner.get_vocab_size()
    inner.add_tokens([AddedToken(f"[unused{i}]", normalized=True) for i in range(missing)])
    ids = {name: inner.token_to_id(name) for name in ("[CLS]", "[SEP]")}
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=list(ids.items()),
    )
    return Tokenizer(inner)


def check_size(vocab_size: int) -> None:
    """Refuse a vocabulary that is no multiple of 64, or has no room for all bytes.

    Raises:
        ConfigError: names the sizes that would do.
    """
    if vocab_size < SMALLEST:
        raise ConfigError(
            f"a vocabulary of {vocab_size} has no room for 256 bytes and 5 special tokens: "
            f"give at least {SMALLEST}"
        )
    if vocab_size % MULTIPLE:
        below = vocab_size // MULTIPLE * MULTIPLE
        raise ConfigError(
            f"a vocabulary of {vocab_size} is no multiple of {MULTIPLE}: "
            f"give {below} or {below + MULTIPLE}"
        )


def thinned(texts: Iterator[str], most_bytes: int) -> list[str]:
    """Keep every n-th text, with the smallest power of two as n that keeps to `most_bytes`."""
    kept: list[tuple[str, int]] = []
    size, step = 0, 1
    for number, text in enumerate(texts):
        if number % step:
            continue
        kept.append((text, len(text.encode())))
        size += kept[-1][1]
        while size > most_bytes and len(kept) > 1:
            step *= 2
            kept = kept[::2]
            size = sum(length for _, length in kept)
    return [text for text, _ in kept]


def _units(texts: Iterator[str]) -> Iterator[str]:
    """Cut texts at ends of lines where that is possible, so that no one text fills the sample."""
    for text in texts:
        start = 0
        while start < len(text):
            stop = start + _UNIT_CHARS
            if stop < len(text):
                stop = text.rfind("\n", start, stop) + 1 or stop
            yield text[start:stop]
            start = stop


def _special(name: str) -> AddedToken:
    # [MASK] stands for a word with the space before it, as words in a byte-level BPE do.
    return AddedToken(name, lstrip=name == "[MASK]", normalized=False, special=True)


def _untrained() -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.BPE())
    inner.normalizer = normalizers.NFC()
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    inner.decoder = decoders.ByteLevel()
    return inner
