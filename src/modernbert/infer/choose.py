"""Questions with options in, the options with their probabilities out, the likeliest first."""

from collections.abc import Sequence

import torch
from torch import Tensor

from modernbert.base.shapes import Float
from modernbert.data.choices import Choice, checked_options, read_options
from modernbert.data.examples import checked_text
from modernbert.infer.heads import head_of
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import ReadText, Text, check_as_many, check_list, parts_of
from modernbert.infer.readouts import HeadScores
from modernbert.infer.replies import Option
from modernbert.infer.work import Work, computed


def choose(
    model: Pretrained, questions: Sequence[Text], options: Sequence[Sequence[str]]
) -> list[list[Option]]:
    """Return for each question its options with their scores, the likeliest first.

    A question may have two parts, such as an article and what is asked of it: the second one then
    begins each option, as in training. Numbers of options may differ. Longer ones than the model
    reads are cut; order stays.

    Raises:
        ConfigError: the model has no head that chooses.
        DataError: questions and options are not as many, one is empty, or has fewer than two.
    """
    return computed(model, choosing(model, questions, options))


def choosing(
    model: Pretrained, questions: Sequence[Text], options: Sequence[Sequence[str]]
) -> Work[list[list[Option]]]:
    """Return what `choose` has a model do."""
    return scoring(model, questions, options).then(
        lambda found: [_ranked(*each) for each in zip(options, found, strict=True)]
    )


def choice_scores(
    model: Pretrained, questions: Sequence[Text], options: Sequence[Sequence[str]]
) -> list[Float[Tensor, "_"]]:
    """Return the head's scores of each question's options before any activation, on the CPU."""
    return computed(model, scoring(model, questions, options))


def scoring(
    model: Pretrained, questions: Sequence[Text], options: Sequence[Sequence[str]]
) -> Work[list[Float[Tensor, "_"]]]:
    """Return what `choice_scores` has a model do."""
    head_of(model, "choice")
    check_list(questions, "questions")
    check_list(options, "options")
    asked = _asked(questions, options)
    read = read_options(asked, model.tokenizer, model.max_length)
    sizes = [len(question.options) for question in asked]
    return Work(
        HeadScores(),
        [ReadText.of(option.ids) for question in read for option in question],
        lambda rows: list((torch.cat([*rows]) if rows else torch.empty(0)).split(sizes)),
    )


def _ranked(texts: Sequence[str], scores: Float[Tensor, "_"]) -> list[Option]:
    shares = scores.softmax(-1).tolist()
    return sorted(map(Option, texts, range(len(texts)), shares), key=lambda option: -option.score)


def _asked(questions: Sequence[Text], options: Sequence[Sequence[str]]) -> list[Choice]:
    check_as_many(questions, options)
    asked = []
    for number, (texts, given) in enumerate(zip(questions, options, strict=True)):
        where = f"question {number}"
        check_list(given, f"options[{number}]")
        names = [f"option {place}" for place in range(len(given))]
        texts = tuple(checked_text(part, "text", where) for part in parts_of(texts))
        asked.append(Choice(texts, checked_options(given, names, where)))
    return asked
