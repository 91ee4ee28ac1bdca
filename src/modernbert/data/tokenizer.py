"""Text in, token ids out, and back: the one wrapper around the `tokenizers` library."""

import json
import re
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, final

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers.normalizers import Lowercase
from tokenizers.normalizers import Sequence as Sequential

from modernbert.base.errors import DataError, reason_of
from modernbert.base.files import digest, whole_file, write_json
from modernbert.data.pieces import Offsets, begins_of, grouped, is_cuttable, pieces_of, trimmed
from modernbert.data.tokenizer_config import limit_of, special_names, told_beside

Ids = NDArray[np.int64]

ROLES = ("unk", "cls", "sep", "pad", "mask")
_PARTS = ("added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder")
SURROGATE = re.compile("[\ud800-\udfff]")
"""What is no character: half of a pair, as JSON can spell it, or a byte that is not UTF-8."""
_UNUSED = re.compile(r"\[unused\d+\]")


@final
class Tokenizer:
    """A byte-level BPE with [UNK], [CLS], [SEP], [PAD] and [MASK], by these or other names."""

    def __init__(
        self,
        inner: tokenizers.Tokenizer,
        names: dict[str, str] | None = None,
        max_length: int | None = None,
    ) -> None:
        self.max_length = max_length
        """Tokens that are read of a text at most, where the tokenizer's folder names a limit."""
        inner.no_truncation()
        inner.no_padding()
        self._spec = inner.to_str()
        self._names = {role: f"[{role.upper()}]" for role in ROLES} | (names or {})
        missing = [name for name in self._names.values() if inner.token_to_id(name) is None]
        if missing:
            raise DataError(
                f"the tokenizer has no {', '.join(missing)}: masked language modelling needs the "
                "five special tokens; train one with `modernbert train-tokenizer`"
            )
        # Special tokens spelled out in a text stay text, so nobody's [SEP] ends a document. Other
        # added tokens, such as |||IP_ADDRESS||| or a run of spaces, become their one id: the
        # vocabulary's authors put these marks into running text on purpose.
        inner.encode_special_tokens = True
        self._inner = inner
        vocabulary = inner.get_vocab(with_added_tokens=True)
        _check_ids(vocabulary)
        added = inner.get_added_tokens_decoder()
        self.vocab_size = max(vocabulary.values()) + 1
        self.special_ids = frozenset(i for i, token in added.items() if token.special)
        self.unk_id, self.cls_id, self.sep_id, self.pad_id, self.mask_id = (
            int(vocabulary[self._names[role]]) for role in ROLES
        )
        self.role_ids = (self.unk_id, self.cls_id, self.sep_id, self.pad_id, self.mask_id)
        """Ids of the five special tokens, in the order of `ROLES`."""
        unused = {i for name, i in vocabulary.items() if _UNUSED.fullmatch(name)}
        ordinary = set(vocabulary.values()) - unused - self.special_ids
        self.ordinary_ids: Ids = np.array(sorted(ordinary), dtype=np.int64)
        """Ids that stand for text: neither special nor [unusedN]; random tokens come from here."""
        self._is_cuttable = is_cuttable(self.spec)

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read a folder that holds tokenizer.json, or the file itself.

        Raises:
            DataError: the file is missing, broken, or lacks a special token.
        """
        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.is_file():
            raise DataError(f"no tokenizer at {file}: give a folder that holds tokenizer.json")
        try:
            inner = tokenizers.Tokenizer.from_str(file.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises bare Exception
            raise DataError(
                f"{file} is not a tokenizer that can be read: {reason_of(error)}"
            ) from error
        told = told_beside(file.with_name("tokenizer_config.json"))
        return cls(inner, special_names(told, ROLES), limit_of(told))

    @property
    def mask_token(self) -> str:
        """What stands for a hidden token in a prompt."""
        return self._names["mask"]

    def save(self, folder: Path, *, max_length: int = 8192) -> None:
        """Write the three files that `transformers` opens; `max_length` is in tokens.

        Raises:
            MachineError: the disk is full or the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / "tokenizer.json") as aside:
            aside.write_text(self._indented, encoding="utf-8")
        names = {f"{role}_token": self._names[role] for role in sorted(ROLES)}
        config = {
            "clean_up_tokenization_spaces": False,
            **names,
            "model_input_names": ["input_ids", "attention_mask"],
            "model_max_length": max_length,
            "tokenizer_class": "PreTrainedTokenizerFast",
        }
        write_json(folder / "tokenizer_config.json", config)
        write_json(folder / "special_tokens_map.json", self._special_tokens_map())

    @property
    def kind(self) -> str:
        """What cuts words into tokens, such as BPE, and what comes before it."""
        spec = json.loads(self._spec)
        before = (spec["pre_tokenizer"] or {}).get("type", "nothing")
        return f"{spec['model']['type']} after {before}"

    @cached_property
    def spec(self) -> dict[str, Any]:
        """What tokenizer.json says."""
        return dict(json.loads(self._spec))

    @cached_property
    def fingerprint(self) -> str:
        """Name what decides the ids of a text: equal fingerprints, equal ids."""
        spec = self.spec
        model = spec["model"]
        pairs = model.get("merges", [])  # WordPiece and Unigram have none
        merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in pairs]
        matter = {
            "vocab": model["vocab"],
            "merges": merges,
            "roles": [self._names[role] for role in ROLES],
            **{part: spec[part] for part in _PARTS},
        }
        return digest(json.dumps(matter, sort_keys=True).encode())

    def encode_many(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of each text, without [CLS] and [SEP], on all cores.

        Long texts are encoded in pieces that give the ids of the whole; only a run of
        200,000 characters without a place to cut is cut inside a word, to keep memory bounded.
        """
        cut = partial(pieces_of, is_cuttable=self._is_cuttable)
        pieces = [(index, piece) for index, text in enumerate(texts) for piece in cut(text)]
        parts: list[list[Ids]] = [[] for _ in texts]
        for group in grouped(pieces):
            encodings = self._inner.encode_batch_fast(
                [piece for _, piece in group], add_special_tokens=False
            )
            for (index, _), encoding in zip(group, encodings, strict=True):
                parts[index].append(np.array(encoding.ids, dtype=np.int64))
        return [part[0] if len(part) == 1 else np.concatenate(part) for part in parts]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[tuple[Ids, Offsets]]:
        """Return the ids of each text, without [CLS] and [SEP], and where each token stands.

        Places are characters of the text, [T 2]; the blank that a token begins with is not counted,
        and several tokens may share one character.

        Raises:
            DataError: a text holds what is no character.
        """
        for text in texts:
            _check_unicode(text)
        encodings = self._inner.encode_batch(list(texts), add_special_tokens=False)
        return [
            (np.array(each.ids, dtype=np.int64), trimmed(text, each.offsets))
            for text, each in zip(texts, encodings, strict=True)
        ]

    def encode_texts(
        self, texts: Sequence[str], prompt: str = "", limit: int | None = None
    ) -> list[Ids]:
        """Return the ids of texts behind a prompt, without [CLS] and [SEP].

        A special token spelled out in the prompt is that token; in a text it stays text. Of a text
        with more ids than `limit` some that come later may be left out.

        Raises:
            DataError: a text holds what is no character.
        """
        for text in (prompt, *texts):
            _check_unicode(text)
        added = self._inner.get_added_tokens_decoder().values()
        special = [token.content for token in added if token.special and token.content in prompt]
        cut = max((prompt.rfind(name) + len(name) for name in special), default=0)
        begun = self._prompting.encode(prompt[:cut], add_special_tokens=False).ids
        whole = [prompt[cut:] + text for text in texts]
        if limit is None or not self._is_cuttable:
            encoded = self.encode_many(whole)
        else:
            encoded = begins_of(whole, limit, self.encode_many)
        return [np.concatenate([np.array(begun, dtype=np.int64), ids]) for ids in encoded]

    def id_of(self, token: str) -> int | None:
        """Return the id of one token by its name in the vocabulary."""
        found: int | None = self._inner.token_to_id(token)
        return found

    def token_of(self, number: int) -> str:
        """Return the name of the token with this id; "" where there is none."""
        return str(self._inner.id_to_token(number) or "")

    def is_added(self, token: str) -> bool:
        """Return whether a text's part of this name becomes one token, whatever follows."""
        added = self._inner.get_added_tokens_decoder().values()
        return token in {each.content for each in added}

    def lower_cased(self) -> "Tokenizer":
        """Make one that reads every letter as a small one."""
        inner = tokenizers.Tokenizer.from_str(self._spec)
        old = [inner.normalizer] if inner.normalizer else []
        inner.normalizer = Sequential([Lowercase(), *old])
        return Tokenizer(inner, self._names, self.max_length)

    def with_added(self, names: Sequence[str]) -> "Tokenizer":
        """Make one that has these tokens too, each read wherever a text holds its name."""
        inner = tokenizers.Tokenizer.from_str(self._spec)
        inner.add_tokens(list(names))
        return Tokenizer(inner, self._names, self.max_length)

    def encode(self, text: str) -> Ids:
        """Return the ids of a prompt with [CLS] and [SEP]; here "[MASK]" is the mask token.

        Raises:
            DataError: the text holds what is no character, such as bytes that are not UTF-8.
        """
        _check_unicode(text)
        ids = self._prompting.encode(text, add_special_tokens=False).ids
        return np.array([self.cls_id, *ids, self.sep_id], dtype=np.int64)

    def decode(self, ids: Sequence[int] | Ids, *, keep_special: bool = False) -> str:
        """Return the text of some ids; special tokens are left out unless kept."""
        listed = np.asarray(ids).tolist()
        return str(self._inner.decode(listed, skip_special_tokens=not keep_special))

    @cached_property
    def _indented(self) -> str:
        return str(self._inner.to_str(pretty=True)) + "\n"

    @cached_property
    def _prompting(self) -> tokenizers.Tokenizer:
        return tokenizers.Tokenizer.from_str(self._spec)

    def _special_tokens_map(self) -> dict[str, object]:
        by_name = {
            token.content: token for token in self._inner.get_added_tokens_decoder().values()
        }
        flags = ("content", "lstrip", "normalized", "rstrip", "single_word")
        return {
            # A token that the vocabulary alone knows has no flags.
            f"{role}_token": {flag: getattr(by_name[name], flag) for flag in flags}
            if (name := self._names[role]) in by_name
            else name
            for role in sorted(ROLES)
        }


def _check_unicode(text: str) -> None:
    if (broken := SURROGATE.search(text)) is not None:
        raise DataError(f"the text is no Unicode at character {broken.start()}: give it in UTF-8")


def _check_ids(vocabulary: dict[str, int]) -> None:
    names: dict[int, str] = {}
    for name, number in sorted(vocabulary.items()):
        if names.setdefault(number, name) != name:
            raise DataError(
                f"the tokenizer gives both {names[number]!r} and {name!r} the id {number}: "
                "it is damaged, copy it again"
            )
