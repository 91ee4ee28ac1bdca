"""Files of tagged words, or of texts with spans, in; windows of them with a task out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modernbert.base.errors import DataError
from modernbert.base.files import digest
from modernbert.base.log import count, say
from modernbert.data.pieces import Offsets
from modernbert.data.rows import ExampleSet
from modernbert.data.table_files import Part
from modernbert.data.tagged import Tagged, in_one_scheme, read_tagged
from modernbert.data.tags import OUTSIDE, TagSpan, bio, bio_names, is_chunked, odd_one, spans_of
from modernbert.data.tokenizer import Tokenizer
from modernbert.data.windows import Window, first_tokens, windows
from modernbert.model.config import HeadConfig
from modernbert.model.hf_kept import TAGS_TOKENS
from modernbert.tasks.tokens import TagTokens
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tune_data import Labelled, TuneData, held_out, say_gaps

_AT_ONCE = 1000


def read_tags(
    config: TuneConfig, tokenizer: Tokenizer, max_length: int, which: Part = "dev"
) -> TuneData:
    """Read all tagged texts before anything is trained, and say what they are taken for.

    Where --dev names a folder, its part `which` is read.

    Raises:
        DataError: a file cannot be read, a tag is unknown, or there is nothing to learn.
    """
    train, dev = read_parts(config, which)
    # What is rare may be held out whole.
    names = _names(train if config.dev else [*train, *dev])
    parts = [_Windows(part, names, tokenizer, max_length) for part in (train, dev)]
    tokens = sum(map(len, (window.ids for window in parts[0].windows)))
    say(
        f"{len(train)} texts of {count(tokens)} tokens to learn from, {len(dev)} to measure on; "
        f"tags: {', '.join(names[:13])}{', ...' if len(names) > 13 else ''}"
    )
    say_gaps(names)
    return TuneData(
        parts[0].labelled(),
        parts[1].labelled(),
        HeadConfig(kind="tokens", labels=names, dropout=config.dropout),
        digest("".join(part.fingerprint for part in parts).encode()),
        {} if all(each.words for each in train) else {TAGS_TOKENS: True},
    )


def read_parts(config: TuneConfig, which: Part = "dev") -> tuple[list[Tagged], list[Tagged]]:
    """Read the texts to learn from and those to measure on, with tags in one scheme.

    Raises:
        DataError: a file cannot be read, or is empty.
    """
    train = _read(config.train, "train")
    if config.dev:
        return train, _read(config.dev, which)
    learned, measured = held_out(len(train), config.seed)
    return [train[n] for n in learned], [train[n] for n in measured]


class _Windows:
    """The windows of some texts, and the tag of each of their units."""

    def __init__(
        self, given: Sequence[Tagged], names: tuple[str, ...], tokenizer: Tokenizer, max_length: int
    ) -> None:
        self._names = names
        self.tags: list[list[str]] = []
        self.windows: list[Window] = []
        self._where: list[str] = []
        for start in range(0, len(given), _AT_ONCE):
            group = given[start : start + _AT_ONCE]
            encoded = tokenizer.encode_with_offsets([each.text for each in group])
            for each, (ids, offsets) in zip(group, encoded, strict=True):
                number = len(self.tags)
                self.tags.append(self._checked(each, offsets))
                firsts = (
                    np.arange(len(ids)) if each.words is None else first_tokens(offsets, each.words)
                )
                cut = [*windows(number, ids, firsts, tokenizer, max_length)]
                self.windows += cut
                self._where += [each.where] * len(cut)

    @property
    def fingerprint(self) -> str:
        spelled = b"".join(window.ids.tobytes() for window in self.windows)
        return digest(spelled + repr(self.tags).encode())

    def labelled(self) -> Labelled:
        examples = ExampleSet([window.ids for window in self.windows], self._where)
        return Labelled(examples, TagTokens(self._names, self.windows, self.tags))

    def _checked(self, given: Tagged, offsets: Offsets) -> list[str]:
        tags = list(given.tags) if given.words is not None else _of_tokens(given, offsets)
        if unknown := {*tags} - {*self._names}:
            raise DataError(
                f"{given.where} has the tag {min(unknown)!r}, which training has not: known are "
                f"{', '.join(self._names[:12])}"
            )
        return tags


def _of_tokens(given: Tagged, offsets: Offsets) -> list[str]:
    """Tag each token of a text that holds a character of a span."""
    starts, stops = offsets[:, 0], offsets[:, 1]
    spans = []
    for span in given.spans:
        inside = np.flatnonzero((stops > span.start) & (starts < span.stop))
        if len(inside):
            spans.append(TagSpan(int(inside[0]), int(inside[-1]) + 1, span.kind))
    return bio(spans, len(offsets))


def _read(path: str, part: Part) -> list[Tagged]:
    found = [*read_tagged(Path(path), part)]
    if not found:
        raise DataError(f"{path} holds no row: give a file with examples")
    tags = {tag for each in found for tag in each.tags}
    odd = odd_one(tags)
    if odd is not None:
        where = next(each.where for each in found if odd in each.tags)
        raise DataError(
            f"{where} has the tag {odd!r}, and others say where spans begin, such as "
            f"{min(tag for tag in tags if tag.startswith('B-'))!r}: mend it"
        )
    if all(tag.isdecimal() for tag in tags) and tags:
        say(f"{path}: tags are numbers, so each word is labelled alone: name them for spans, B-PER")
    return in_one_scheme(found)


def _names(train: Sequence[Tagged]) -> tuple[str, ...]:
    tags = {tag for each in train for tag in each.tags}
    kinds = {span.kind for each in train for span in each.spans}
    if is_chunked(tags):
        kinds |= {span.kind for each in train for span in spans_of(each.tags)}
    if kinds:
        return bio_names(kinds)
    if len(tags - {OUTSIDE}) < 1 or len(tags) < 2:
        raise DataError(
            f"all words have the tag {min(tags, default=OUTSIDE)!r}: there is nothing to tell apart"
        )
    return tuple(sorted(tags))
