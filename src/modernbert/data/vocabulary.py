"""Two tokenizers in, for each token of the new one the old tokens it stands for out."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from modernbert.data.tokenizer import Tokenizer

_NO_TEXT = b"\xff"
"""UTF-8 has no such byte: it begins the surface of special and unused tokens."""
_BLANK = "\u2581"
"""How SentencePiece writes a space."""


@dataclass(frozen=True, slots=True)
class Match:
    """Where the rows of a new vocabulary come from."""

    sources: tuple[tuple[int, ...], ...]
    """For each new id the old ids it is made of; empty where nothing is known."""

    @property
    def num_kept(self) -> int:
        """Return how many tokens are one token of the old vocabulary."""
        return sum(len(ids) == 1 for ids in self.sources)

    @property
    def num_averaged(self) -> int:
        """Return how many tokens the old tokenizer spells with several."""
        return sum(len(ids) > 1 for ids in self.sources)

    @property
    def num_fresh(self) -> int:
        """Return how many tokens the old tokenizer cannot spell."""
        return sum(not ids for ids in self.sources)


def match(old: Tokenizer, new: Tokenizer) -> Match:
    """Find each token of `new` in `old`: by its role, else by its bytes, else by its pieces.

    Tokens are compared by what they decode to: a byte-level "Ġthe", SentencePiece's "▁the" and
    WordPiece's "the" are one. Where several decode alike in both, as ModernBERT's blanks do, names
    tell them apart; else the one is taken that the old tokenizer makes of text. Pieces are what it
    makes of a token's text; the mean of their vectors is a fair start (Gee et al., Fast Vocabulary
    Transfer, arXiv 2402.09977).
    """
    known: dict[bytes, int] = {}
    twins: dict[tuple[bytes, str, bool], int] = {}
    # Added tokens are looked for in a text before all others.
    for entry in sorted(entries(old), key=lambda each: (not each.is_added, each.token)):
        known.setdefault(entry.surface, entry.token)
        twins[entry.surface, entry.name, entry.is_added] = entry.token
    found: dict[int, tuple[int, ...]] = {}
    unmatched: dict[int, bytes] = {}
    sought = [*entries(new)]
    times = Counter(entry.surface for entry in sought)
    for entry in sought:
        token, surface = entry.token, entry.surface
        if surface in known:
            usual = known[surface]
            same = twins.get((surface, entry.name, entry.is_added), usual)
            found[token] = (same if times[surface] > 1 else usual,)
        elif not surface.startswith(_NO_TEXT):
            unmatched[token] = surface
    found |= _spelled(unmatched, old, known)
    found |= {ours: (theirs,) for ours, theirs in zip(new.role_ids, old.role_ids, strict=True)}
    return Match(tuple(found.get(token, ()) for token in range(new.vocab_size)))


@dataclass(frozen=True, slots=True)
class Entry:
    """One token of a vocabulary."""

    token: int
    name: str
    is_added: bool
    """Whether it is looked for in a text as it stands, before the text is cut."""
    surface: bytes
    """What it decodes to; of special and unused tokens, no text."""


def entries(tokenizer: Tokenizer) -> Iterator[Entry]:
    """Yield all tokens, in the order of their ids."""
    spec = tokenizer.spec
    decode = _decoder(spec)
    vocabulary = spec["model"]["vocab"]
    if isinstance(vocabulary, dict):
        names = {token: name for name, token in vocabulary.items()}
    else:  # Unigram lists pairs of a token and its score
        names = {token: name for token, (name, _) in enumerate(vocabulary)}
    found = {token: decode(name) for token, name in names.items()}
    added = {each["id"]: each["content"] for each in spec["added_tokens"]}
    names |= added
    found |= {token: name.encode() for token, name in added.items()}
    ordinary = {*tokenizer.ordinary_ids.tolist()}
    for token in sorted(found):
        surface = found[token] if token in ordinary else _NO_TEXT + found[token]
        yield Entry(token, names[token], token in added, surface)


def _spelled(
    wanted: dict[int, bytes], old: Tokenizer, known: dict[bytes, int]
) -> dict[int, tuple[int, ...]]:
    """Spell surfaces with old tokens; what is no whole text is spelled byte by byte."""
    found: dict[int, tuple[int, ...]] = {}
    texts: dict[int, str] = {}
    for token, surface in wanted.items():
        try:
            texts[token] = surface.decode()
        except UnicodeDecodeError:
            pieces = [bytes([each]) for each in surface]
            is_spelled = all(piece in known for piece in pieces)
            found[token] = tuple(known[piece] for piece in pieces) if is_spelled else ()
    for token, ids in zip(texts, old.encode_many(list(texts.values())), strict=True):
        found[token] = tuple(each for each in ids.tolist() if each != old.unk_id)
    return found


def _decoder(spec: dict[str, Any]) -> Callable[[str], bytes]:
    """Return how an entry of the vocabulary becomes bytes."""
    model = spec["model"]
    if any(_holds(spec[part], "ByteLevel") for part in ("pre_tokenizer", "decoder")):
        alphabet = _alphabet()
        return lambda name: b"".join(alphabet.get(char, char.encode()) for char in name)
    if model["type"] == "WordPiece":
        return lambda name: _word_piece(name, model["continuing_subword_prefix"])
    return lambda name: _sentence_piece(name, is_byte_known=bool(model.get("byte_fallback")))


def _word_piece(name: str, inside: str) -> bytes:
    if name.startswith(inside) and name != inside:
        return name.removeprefix(inside).encode()
    # Words begin after a space; signs such as a comma usually do not.
    return f" {name}".encode() if name[:1].isalnum() else name.encode()


def _sentence_piece(name: str, *, is_byte_known: bool) -> bytes:
    if is_byte_known and len(name) == len("<0x00>") and name.startswith("<0x"):
        return bytes.fromhex(name[3:5])
    return name.replace(_BLANK, " ").encode()


def _holds(part: dict[str, Any] | None, kind: str) -> bool:
    """Say whether a part of a tokenizer is of a kind, or a sequence with one of it."""
    if part is None:
        return False
    inner = part.get("pretokenizers") or part.get("decoders") or []
    return part["type"] == kind or any(_holds(each, kind) for each in inner)


def _alphabet() -> dict[str, bytes]:
    """Return the byte that each character of a byte-level vocabulary stands for (GPT-2).

    Printable bytes stand for themselves, the others for the characters from 256 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [each for each in range(256) if each not in printable]
    shown = {chr(each): each for each in printable}
    shown |= {chr(256 + place): each for place, each in enumerate(others)}
    return {char: bytes([each]) for char, each in shown.items()}
