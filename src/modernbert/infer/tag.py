"""Texts or lists of words in, the spans that a head of tags finds in them out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from modernbert.base.errors import DataError
from modernbert.data.pieces import Offsets
from modernbert.data.tagged import from_words
from modernbert.data.tags import OUTSIDE, TagSpan, is_chunked, spans_of
from modernbert.data.windows import Window, first_tokens, windows
from modernbert.data.words import words_of
from modernbert.infer.heads import head_of
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import ReadText, check_list
from modernbert.infer.readouts import HeadScores
from modernbert.infer.replies import Entity
from modernbert.infer.work import Work, computed
from modernbert.model.hf_kept import tags_tokens

Untagged = str | Sequence[str]
"""A text, or its words."""


@dataclass(frozen=True, slots=True)
class WordTags:
    """The words of a text, and the likeliest tag of each.

    Of a text that a head reads token by token, tokens stand for words.
    """

    text: str
    places: tuple[tuple[int, int], ...]
    """Where each word begins and ends, in characters."""
    tags: tuple[str, ...]
    scores: tuple[float, ...]
    """Probability of each tag."""

    def entities(self, *, is_chunked: bool) -> list[Entity]:
        """Join the words of each span; tags that begin no spans stand for a word each."""
        spans = spans_of(self.tags) if is_chunked else self._alone()
        return [
            Entity(
                span.kind,
                self.places[span.start][0],
                self.places[span.stop - 1][1],
                self.text[self.places[span.start][0] : self.places[span.stop - 1][1]],
                float(np.mean(self.scores[span.start : span.stop])),
            )
            for span in spans
            if self.text[self.places[span.start][0] : self.places[span.stop - 1][1]].strip()
        ]

    def _alone(self) -> list[TagSpan]:
        tags = enumerate(self.tags)
        return [TagSpan(at, at + 1, tag) for at, tag in tags if tag != OUTSIDE]


def tag(model: Pretrained, texts: Sequence[Untagged]) -> list[list[Entity]]:
    """Return the spans found in each text, in the order in which they stand there.

    A text is cut into words where it has blanks, and punctuation around them is apart; texts that
    are cut already are lists of words. A head that learned from spans in texts tags each token of
    a text, as it did then. Longer texts than the model reads are read in windows.

    Raises:
        ConfigError: the model has no head that tags words.
        DataError: a text holds what is no character.
    """
    return computed(model, tagging(model, texts))


def tagging(model: Pretrained, texts: Sequence[Untagged]) -> Work[list[list[Entity]]]:
    """Return what `tag` has a model do."""
    chunked = is_chunked(head_of(model, "tokens").labels)
    return word_tagging(model, texts).then(
        lambda found: [each.entities(is_chunked=chunked) for each in found]
    )


def word_tags(model: Pretrained, texts: Sequence[Untagged]) -> list[WordTags]:
    """Return the words of each text with their tags; see `tag`."""
    return computed(model, word_tagging(model, texts))


def word_tagging(model: Pretrained, texts: Sequence[Untagged]) -> Work[list[WordTags]]:
    """Return what `word_tags` has a model do."""
    head = head_of(model, "tokens")
    check_list(texts)
    by_token = tags_tokens(model.model.kept)
    cut = [_cut(each) for each in texts]
    encoded = model.tokenizer.encode_with_offsets([text for text, _ in cut])
    read: list[Window] = []
    given: list[tuple[str, list[tuple[int, int]]]] = []
    for number, ((ids, offsets), (text, places)) in enumerate(zip(encoded, cut, strict=True)):
        is_whole = by_token and isinstance(texts[number], str)
        firsts = np.arange(len(ids)) if is_whole else first_tokens(offsets, places)
        read += windows(number, ids, firsts, model.tokenizer, model.max_length)
        given.append((text, _without_blanks(text, offsets) if is_whole else places))
    return Work(
        HeadScores(),
        [ReadText.of(window.ids) for window in read],
        lambda rows: _word_tags(read, rows, head.labels, given),
    )


def _word_tags(
    read: Sequence[Window],
    rows: Sequence[Tensor],
    labels: Sequence[str],
    given: Sequence[tuple[str, list[tuple[int, int]]]],
) -> list[WordTags]:
    """Give each word the likeliest tag of its token, in the window where it is said."""
    tags = [[OUTSIDE] * len(places) for _, places in given]
    sure = [[0.0] * len(places) for _, places in given]
    for window, unit, number, score in _best(read, rows):
        tags[window.text][unit], sure[window.text][unit] = labels[number], score
    return [
        WordTags(text, tuple(places), _on_whole_characters(tags[n], places), tuple(sure[n]))
        for n, (text, places) in enumerate(given)
    ]


def _on_whole_characters(tags: Sequence[str], places: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """Let the first token of a character speak for all of them: some are of a few bytes each."""
    found: list[str] = []
    for at, tag in enumerate(tags):
        if at and places[at][0] < places[at - 1][1]:
            kind = found[-1].partition("-")[2]
            tag = f"I-{kind}" if kind else found[-1]
        found.append(tag)
    return tuple(found)


def _without_blanks(text: str, offsets: Offsets) -> list[tuple[int, int]]:
    """Return where tokens begin and end, without the blanks that begin many of them."""
    return [
        (stop - len(text[start:stop].lstrip() or text[start:stop]), stop)
        for start, stop in offsets.tolist()
    ]


def _cut(given: Untagged) -> tuple[str, list[tuple[int, int]]]:
    if isinstance(given, str):
        return given, words_of(given)
    words = [*given] if isinstance(given, tuple | list) else []
    if not isinstance(given, tuple | list) or not all(isinstance(word, str) for word in words):
        raise DataError(f"{str(given)[:60]} is neither a text nor a list of words: give either")
    joined = from_words(words, [], "")
    return joined.text, list(joined.words or ())


def _best(
    read: Sequence[Window], rows: Sequence[Tensor]
) -> Iterator[tuple[Window, int, int, float]]:
    """Yield of each word in each window its likeliest tag, by number, and how likely it is."""
    for window, scores in zip(read, rows, strict=True):
        values, numbers = scores[window.places].softmax(-1).max(-1)
        found = zip(window.units.tolist(), numbers.tolist(), values.tolist(), strict=True)
        yield from ((window, unit, number, score) for unit, number, score in found)
