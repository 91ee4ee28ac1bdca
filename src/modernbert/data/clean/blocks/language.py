"""Documents in, those in wanted languages out; the model lies in the package, nothing is fetched.

py3langid knows 97 languages; a long text is judged by some pieces of it.
"""

from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any, final

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from modernbert.base.errors import ConfigError
from modernbert.base.files import explained
from modernbert.base.records import nearest
from modernbert.data.clean.blocks.steps import NOTE, Dropped

_PIECES, _PIECE_CHARACTERS = 4, 1000


@final
class Language(BaseFilter):  # type: ignore[misc]
    """Keeps a document whose most probable language is wanted, and probable enough."""

    name = "language"

    def __init__(self, languages: tuple[str, ...], threshold: float, dropped: Dropped) -> None:
        super().__init__(dropped)
        self._languages, self._threshold = languages, threshold

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Return whether it stays, or why not."""
        language, probability = model().classify(pieces(doc.text))
        if language in self._languages and probability >= self._threshold:
            return True
        doc.metadata[NOTE] = f"{language} {probability:.2f}"
        is_certain = probability >= self._threshold
        return False, f"in {language}" if is_certain else "no language is certain"


def pieces(text: str) -> str:
    """Return a text, or pieces from its beginning to its end."""
    if len(text) <= _PIECES * _PIECE_CHARACTERS:
        return text
    last = len(text) - _PIECE_CHARACTERS
    starts = [last * number // (_PIECES - 1) for number in range(_PIECES)]
    return "\n".join(text[start : start + _PIECE_CHARACTERS] for start in starts)


@cache
def model() -> Any:
    """Open the model that the package carries, packed: it is unpacked for the moment.

    Raises:
        MachineError: there is no room for that.
    """
    with explained(Path(gettempdir())):
        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def check_languages(languages: tuple[str, ...]) -> None:
    """Refuse what no text could be found to be in.

    Raises:
        ConfigError: the model knows no such language.
    """
    if not languages:
        return
    known = [str(name) for name in model().labels]
    for name in languages:
        if name not in known:
            raise ConfigError(f"--language {name!r} is not known: {nearest(name, known)}")
