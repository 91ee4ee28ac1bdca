"""Questions with texts in, the likeliest answers that stand in the texts out."""

import math
from collections.abc import Sequence

from torch import Tensor

from modernbert.base.errors import ConfigError
from modernbert.data.pieces import Offsets
from modernbert.data.windows import Window, question_windows
from modernbert.infer.heads import head_of
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import ReadText, check_questions
from modernbert.infer.readouts import HeadScores
from modernbert.infer.replies import Answer
from modernbert.infer.work import Work, computed
from modernbert.tasks.spans import MAX_ANSWER_TOKENS, best_spans, place_of, text_log_probabilities


def answer(
    model: Pretrained,
    asked: Sequence[tuple[str, str]],
    *,
    number: int = 1,
    can_be_none: bool = False,
    max_tokens: int = MAX_ANSWER_TOKENS,
) -> list[list[Answer]]:
    """Return for each (question, text) the `number` likeliest answers, the best first.

    An answer has at most `max_tokens` tokens; those of the same characters are one.

    Texts longer than the model reads are read in windows that overlap. `can_be_none` lets "" be an
    answer, with the least probability that it has in any window: for models that have learned from
    questions without answers.

    Raises:
        ConfigError: the model has no head that finds answers, or none is asked for.
        DataError: a question or text is empty or no text, or holds what is no character.
    """
    work = answering(model, asked, number=number, can_be_none=can_be_none, max_tokens=max_tokens)
    return computed(model, work)


def answering(
    model: Pretrained,
    asked: Sequence[tuple[str, str]],
    *,
    number: int = 1,
    can_be_none: bool = False,
    max_tokens: int = MAX_ANSWER_TOKENS,
) -> Work[list[list[Answer]]]:
    """Return what `answer` has a model do."""
    if min(number, max_tokens) < 1:
        raise ConfigError(f"number and max_tokens are {number} and {max_tokens}: ask for 1 or more")
    _check(model, asked)
    places, read = _windows(model, asked)

    def finish(rows: Sequence[Tensor]) -> list[list[Answer]]:
        found: list[dict[tuple[int, int], float]] = [{} for _ in asked]
        nothing = [0.0] * len(asked)
        for window, scores in zip(read, rows, strict=True):
            logs, at = text_log_probabilities(scores, window), window.text
            nothing[at] = min(nothing[at], float(logs[0].sum()))
            for span in best_spans(logs, max_tokens, number):
                place = _trimmed(asked[at][1], *place_of(window, span, places[at]))
                found[at][place] = max(found[at].get(place, -math.inf), span.score)
        return [
            _ranked(text, spans | ({(0, 0): none} if can_be_none else {}))[:number]
            for (_, text), spans, none in zip(asked, found, nothing, strict=True)
        ]

    return Work(HeadScores(), [ReadText.of(window.ids) for window in read], finish)


def _ranked(text: str, spans: dict[tuple[int, int], float]) -> list[Answer]:
    ranked = sorted(spans.items(), key=lambda each: -each[1])
    return [Answer(text[begin:end], begin, end, math.exp(log)) for (begin, end), log in ranked]


def _trimmed(text: str, begin: int, end: int) -> tuple[int, int]:
    """Leave out blanks around an answer."""
    part = text[begin:end]
    kept = part.strip() or part
    begin += part.index(kept)
    return begin, begin + len(kept)


def _windows(
    model: Pretrained, asked: Sequence[tuple[str, str]]
) -> tuple[list[Offsets], list[Window]]:
    """Encode each text once, however often it is asked."""
    texts = sorted({text for _, text in asked})
    encoded = dict(zip(texts, model.tokenizer.encode_with_offsets(texts), strict=True))
    questions = model.tokenizer.encode_texts([question for question, _ in asked])
    length = model.max_length
    read: list[Window] = []
    for number, ((_, text), question) in enumerate(zip(asked, questions, strict=True)):
        read += question_windows(number, question, encoded[text][0], model.tokenizer, length)
    return [encoded[text][1] for _, text in asked], read


def _check(model: Pretrained, asked: Sequence[tuple[str, str]]) -> None:
    head_of(model, "spans")
    check_questions(asked)
