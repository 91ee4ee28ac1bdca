"""Texts or pairs in, what a head of labels says of each out: every label with its probability."""

from collections.abc import Sequence

import torch
from torch import Tensor

from modernbert.base.errors import DataError
from modernbert.base.shapes import Float
from modernbert.data.examples import Cut, read_texts
from modernbert.infer.heads import head_of
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import ReadText, Text, check_list, parts_of
from modernbert.infer.readouts import HeadScores
from modernbert.infer.replies import Label
from modernbert.infer.work import Work, computed
from modernbert.model.config import HeadConfig
from modernbert.model.hf_kept import text_columns


def classify(model: Pretrained, texts: Sequence[Text]) -> list[list[Label]]:
    """Return for each text, or pair of texts, every label with its score, the likeliest first.

    Where one label is right, the scores of a text sum to 1; where any number is, each label has a
    probability of its own. Longer texts than the model reads are cut; order stays.

    Raises:
        ConfigError: the model has no head that labels texts.
        DataError: a text holds what is no character, or texts and pairs are mixed.
    """
    return computed(model, classifying(model, texts))


def classifying(
    model: Pretrained, texts: Sequence[Text], cut: Cut = "right", *, is_raw: bool = False
) -> Work[list[list[Label]]]:
    """Return what `classify` has a model do; raw scores are those before any activation."""
    head = head_of(model, "sequence")
    return labelling(model, texts, cut).then(
        lambda scores: _ranked(scores if is_raw else probabilities(scores, head), head)
    )


def label_scores(model: Pretrained, texts: Sequence[Text]) -> Float[Tensor, "S N"]:
    """Return the head's scores of texts or pairs before any activation, on the CPU."""
    return computed(model, labelling(model, texts))


def labelling(
    model: Pretrained, texts: Sequence[Text], cut: Cut = "right"
) -> Work[Float[Tensor, "S N"]]:
    """Return what `label_scores` has a model do."""
    head = head_of(model, "sequence")
    check_list(texts)
    pairs = [parts_of(text) for text in texts]
    if len({len(pair) for pair in pairs}) > 1:
        raise DataError("some of the texts are pairs and some are not: give them apart")
    learned = len(text_columns(model.model.kept))
    if pairs and learned and len(pairs[0]) != learned:
        kind = "pairs of texts" if learned > 1 else "single texts"
        raise DataError(f"this model learned from {kind}: give {kind}")
    read = read_texts(pairs, model.tokenizer, model.max_length, cut)
    return Work(
        HeadScores(),
        [ReadText.of(each.ids) for each in read],
        lambda rows: torch.stack([*rows]) if rows else torch.empty(0, head.num_scores),
    )


def _ranked(scores: Float[Tensor, "S N"], head: HeadConfig) -> list[list[Label]]:
    return [
        sorted(map(Label, head.labels, row), key=lambda label: -label.score)
        for row in scores.tolist()
    ]


def probabilities(scores: Float[Tensor, "S N"], head: HeadConfig) -> Float[Tensor, "S N"]:
    """Turn scores into probabilities; a regression's are what they are."""
    if head.problem == "regression":
        return scores
    return scores.sigmoid() if head.problem == "multi_label" else scores.softmax(-1)
