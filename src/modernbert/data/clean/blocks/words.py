"""A text in, its words and sentences out, without a model: what datatrove's filters count."""

from typing import final

import regex
from datatrove.utils.hashing import HashConfig
from datatrove.utils.word_tokenizers import WhitespaceTokenizer

# Scripts that put no space between words: each of their characters stands alone.
_ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = rf"[\w--[{_ALONE}]]"
_WORD = regex.compile(
    rf"[{_ALONE}]|{_LETTER}+(?:[^\s\w,;:()\[\]]+{_LETTER}+)*|[^\w\s]", regex.VERSION1
)


@final
class Words(WhitespaceTokenizer):  # type: ignore[misc]
    """Stands where datatrove would take spaCy: the same limits hold, and it is much faster."""

    def word_tokenize(self, text: str) -> list[str]:
        """Return words and marks; what is joined by a mark inside, as in don't, is one word."""
        words: list[str] = _WORD.findall(text)
        return words


HASHES = HashConfig(hash_fc="sha1")
"""How words and texts are hashed; datatrove's other way works with old versions of xxhash alone."""
WORDS = Words()
"""One for all filters: datatrove remembers a text's words by it."""
