"""A lesson in, its passages as token ids with the teacher's vectors to learn out."""

from pathlib import Path

import numpy as np

from modernbert.base import rng
from modernbert.base.errors import ConfigError, DataError
from modernbert.base.files import digest
from modernbert.base.log import count, say
from modernbert.data.examples import Read, read_texts
from modernbert.data.lesson import FEWEST, Lesson, read_lesson
from modernbert.data.order import permuted
from modernbert.data.rows import ExampleSet
from modernbert.data.table_files import Part
from modernbert.data.tokenizer import Tokenizer
from modernbert.model.sentence_config import Normalize, Pool
from modernbert.tasks.imitate import Imitate
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tune_data import Labelled, TuneData

_HELD_OUT, _MOST_HELD_OUT = 0.05, 2000


def read_vectors(
    config: TuneConfig, tokenizer: Tokenizer, max_length: int, which: Part = "dev"
) -> TuneData:
    """Read a lesson, and hold some of its passages out to measure on.

    Raises:
        ConfigError: other files are named to measure on.
        DataError: the lesson cannot be read, or is too small.
    """
    if config.dev or config.test or which != "dev":
        raise ConfigError("a lesson is measured on passages of its own: leave dev and test out")
    lesson = read_lesson(Path(config.train))
    read = list(read_texts(((text,) for text in lesson.texts), tokenizer, max_length))
    if len(read) < FEWEST:
        raise DataError(f"{config.train} has {len(read)} passages: give more text")
    number = min(_MOST_HELD_OUT, int(_HELD_OUT * len(read)))
    order = permuted(np.arange(len(read)), len(read), rng.key(config.seed, "held out"))
    learned, measured = np.sort(order[number:]), np.sort(order[:number])
    say(
        f"{len(learned)} passages of {count(sum(len(each.ids) for each in read))} tokens to learn "
        f"from, {len(measured)} to measure on"
    )
    if cut := sum(each.num_cut > 0 for each in read):
        say(f"{cut} passages are longer than {max_length} tokens and were cut")
    spelled = np.concatenate([each.ids for each in read]).tobytes() + lesson.vectors.tobytes()
    return TuneData(
        _labelled(lesson, read, learned),
        _labelled(lesson, read, measured),
        None,
        digest(spelled),
        steps=(Pool(), Normalize()),
        # Cards are published, and need not say where the teacher's folder was.
        told={"teacher": "/".join(Path(lesson.teacher).parts[-2:])},
    )


def _labelled(lesson: Lesson, read: list[Read], numbers: np.ndarray) -> Labelled:
    where = [f"passage {number + 1}" for number in numbers.tolist()]
    examples = ExampleSet([read[number].ids for number in numbers.tolist()], where)
    return Labelled(examples, Imitate(np.asarray(lesson.vectors[numbers])))
