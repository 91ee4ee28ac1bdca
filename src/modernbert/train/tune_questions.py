"""Files of questions with answers in; windows of their texts with a task out."""

from collections.abc import Sequence
from pathlib import Path

from modernbert.base.errors import ConfigError, DataError
from modernbert.base.files import digest
from modernbert.base.log import count, say
from modernbert.data.columns import Columns
from modernbert.data.pieces import Offsets
from modernbert.data.questions import Question, read_questions
from modernbert.data.rows import ExampleSet
from modernbert.data.table_files import Part
from modernbert.data.tokenizer import Ids, Tokenizer
from modernbert.data.windows import Window, question_windows
from modernbert.model.config import HeadConfig
from modernbert.tasks.spans import FindSpans
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tune_data import Labelled, TuneData, held_out

_AT_ONCE = 1000
_FEWEST_TOKENS = 16


def read_answers(
    config: TuneConfig, tokenizer: Tokenizer, max_length: int, which: Part = "dev"
) -> TuneData:
    """Read all questions before anything is trained, and say what they are taken for.

    Where --dev names a folder, its part `which` is read.

    Raises:
        ConfigError: the windows would be too short for a question and its text.
        DataError: a file cannot be read, an answer is not in its text, or none has an answer.
    """
    if max_length < _FEWEST_TOKENS:
        raise ConfigError(
            f"max_length is {max_length}: a question and a part of its text need at least "
            f"{_FEWEST_TOKENS} tokens"
        )
    train = _read(config, config.train, "train")
    if config.dev:
        dev = _read(config, config.dev, which)
    else:
        learned, measured = held_out(len(train), config.seed)
        train, dev = [train[n] for n in learned], [train[n] for n in measured]
    if not any(each.answers for each in train):
        raise DataError(f"no question of {config.train} has an answer: there is nothing to learn")
    parts = [_Windows(part, tokenizer, max_length) for part in (train, dev)]
    _say(train, dev, parts[0], max_length)
    return TuneData(
        parts[0].labelled(),
        parts[1].labelled(),
        HeadConfig(kind="spans", dropout=config.dropout),
        digest("".join(part.fingerprint for part in parts).encode()),
    )


class _Windows:
    """The windows of the texts of some questions, and where the tokens of each text stand."""

    def __init__(self, asked: Sequence[Question], tokenizer: Tokenizer, max_length: int) -> None:
        self._asked = list(asked)
        self._offsets: list[Offsets] = []
        self.windows: list[Window] = []
        for start in range(0, len(asked), _AT_ONCE):
            group = asked[start : start + _AT_ONCE]
            texts = _encoded({each.context for each in group}, tokenizer)
            questions = tokenizer.encode_texts([each.text for each in group])
            for each, question in zip(group, questions, strict=True):
                ids, offsets = texts[each.context]
                number = len(self._offsets)
                self._offsets.append(offsets)
                self.windows += question_windows(number, question, ids, tokenizer, max_length)

    @property
    def fingerprint(self) -> str:
        spelled = b"".join(window.ids.tobytes() for window in self.windows)
        return digest(spelled + repr([each.answers for each in self._asked]).encode())

    def labelled(self) -> Labelled:
        where = [self._asked[window.text].where for window in self.windows]
        examples = ExampleSet([window.ids for window in self.windows], where)
        return Labelled(examples, FindSpans(self._asked, self._offsets, self.windows))


def _encoded(texts: set[str], tokenizer: Tokenizer) -> dict[str, tuple[Ids, Offsets]]:
    """Encode each text once: many questions are about the same one."""
    listed = sorted(texts)
    return dict(zip(listed, tokenizer.encode_with_offsets(listed), strict=True))


def _read(config: TuneConfig, path: str, part: Part) -> list[Question]:
    return [*read_questions(Path(path), part, Columns(config.text, config.pair, config.label))]


def _say(
    train: Sequence[Question], dev: Sequence[Question], part: _Windows, max_length: int
) -> None:
    tokens = sum(len(window.ids) for window in part.windows)
    without = sum(not each.answers for each in train)
    say(
        f"{len(train)} questions of {count(tokens)} tokens with their texts to learn from"
        f"{f', {without} of them without an answer' if without else ''}, {len(dev)} to measure on"
    )
    moved = [each for each in (*train, *dev) if each.num_moved]
    if moved:
        number = sum(each.num_moved for each in moved)
        say(
            f"{number} answers stand elsewhere than answer_start says, "
            f"such as that of {moved[0].where}: the nearest place that has them is taken"
        )
    if len(part.windows) > len(train):
        say(
            f"{len({w.text for w in part.windows if w.units[0]})} texts are longer than "
            f"{max_length} tokens with their question and are read in windows: "
            f"{len(part.windows)} in all"
        )
