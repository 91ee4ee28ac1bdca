"""A task's parts in, the scores of methods that need no pretraining out.

The most frequent label; the most frequent tag of each word; TF-IDF with a linear model.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modernbert.base.errors import MachineError
from modernbert.data.columns import Columns
from modernbert.data.questions import read_questions
from modernbert.data.table import open_table
from modernbert.data.tagged import Tagged, in_one_scheme, read_tagged
from modernbert.data.tags import OUTSIDE
from modernbert.evals.results import Score, measured_score
from modernbert.evals.suite import SuiteTask
from modernbert.evals.suite_files import Prepared
from modernbert.tasks import metrics
from modernbert.tasks.spans import quality as answer_quality
from modernbert.tasks.tokens import quality

FREQUENT_LABEL = "the most frequent label"
FREQUENT_TAG = "the most frequent tag of each word"
LIKELY_SENTENCE = "the sentence with most words of the question"
TF_IDF = "TF-IDF and a linear model"
_SENTENCE, _WORD = re.compile(r"(?<=[.!?])\s+"), re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class _Texts:
    sides: tuple[list[str], ...]
    """Texts, and second texts where there are pairs."""
    labels: list[Any]


def check_installed() -> None:
    """Look for what baselines need, before anything runs.

    Raises:
        MachineError: it is not there.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MachineError(
            "scikit-learn is not installed, and baselines need it: "
            "pip install 'modernbert[evaluate]', or leave --baselines out"
        ) from error


def classical(task: SuiteTask, given: Prepared) -> list[Score]:
    """Return the scores of methods that count, on the parts that the model is scored on."""
    parts: list[str] = [part for part in task.scored_on if part in given.paths]
    if task.learns == "spans":
        return [_score(LIKELY_SENTENCE, task, {p: _likely_sentences(given, p) for p in parts})]
    if task.learns == "tokens":
        train = _tagged(given, "train")
        found = {part: _frequent_tags(train, _tagged(given, part)) for part in parts}
        return [_score(FREQUENT_TAG, task, found)]
    learned = _texts(given, "train")
    measured = {part: _texts(given, part) for part in parts}
    counted = {part: _frequent(task, learned, texts) for part, texts in measured.items()}
    linear = _linear(task, learned, measured)
    return [_score(FREQUENT_LABEL, task, counted), _score(TF_IDF, task, linear)]


def _score(by: str, task: SuiteTask, found: dict[str, dict[str, float]]) -> Score:
    measured = {
        task.spelled(name, part): found[part][name] for part in found for name in task.measures
    }
    return measured_score(by, task, measured)


def _texts(given: Prepared, part: str) -> _Texts:
    rows = [row.values for row in open_table(given.paths[part])]
    names = ("text", "pair") if given.is_pair else ("text",)
    return _Texts(
        tuple([row[name] for row in rows] for name in names), [row["label"] for row in rows]
    )


def _tagged(given: Prepared, part: str) -> list[Tagged]:
    return in_one_scheme([*read_tagged(given.paths[part], "train")])


def _frequent_tags(train: Sequence[Tagged], measured: Sequence[Tagged]) -> dict[str, float]:
    counts: dict[str, Counter[str]] = {}
    for each in train:
        for (start, stop), tag in zip(each.words or (), each.tags, strict=True):
            counts.setdefault(each.text[start:stop], Counter())[tag] += 1
    usual = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}
    found = [
        [usual.get(each.text[start:stop], OUTSIDE) for start, stop in each.words or ()]
        for each in measured
    ]
    f1, precision, recall, accuracy = quality(found, [each.tags for each in measured])
    return {"f1": f1, "precision": precision, "recall": recall, "accuracy": accuracy}


def _likely_sentences(given: Prepared, part: str) -> dict[str, float]:
    pairs = []
    for question in read_questions(given.paths[part], "train", Columns()):
        asked = {*_WORD.findall(question.text.lower())}
        shared = [
            (len(asked & {*_WORD.findall(sentence.lower())}), sentence)
            for sentence in _SENTENCE.split(question.context)
        ]
        right = [question.context[start:end] for start, end in question.answers]
        pairs.append(answer_quality(max(shared)[1], right))
    f1, exact = np.mean(pairs, axis=0).tolist()
    return {"f1": f1, "exact_match": exact}


def _frequent(task: SuiteTask, train: _Texts, measured: _Texts) -> dict[str, float]:
    size = len(measured.labels)
    if task.is_value():
        return _quality(task, [float(np.mean(train.labels))] * size, measured.labels)
    usual = Counter(train.labels).most_common(1)[0][0]
    return _quality(task, [usual] * size, measured.labels)


def _linear(
    task: SuiteTask, train: _Texts, measured: dict[str, _Texts]
) -> dict[str, dict[str, float]]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, Ridge

    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    words.fit([text for side in train.sides for text in side])
    model = Ridge() if task.is_value() else LogisticRegression(C=10.0, max_iter=2000)
    model.fit(_features(words, train), train.labels)
    return {
        part: _quality(task, model.predict(_features(words, texts)).tolist(), texts.labels)
        for part, texts in measured.items()
    }


def _features(words: Any, texts: _Texts) -> Any:
    """Return the weights of words; of pairs also where both agree and where they differ."""
    from scipy import sparse

    sides = [words.transform(side) for side in texts.sides]
    if len(sides) == 1:
        return sides[0]
    one, other = sides
    return sparse.hstack([one, other, abs(one - other), one.multiply(other)]).tocsr()


def _quality(task: SuiteTask, found: Sequence[Any], right: Sequence[Any]) -> dict[str, float]:
    if task.is_value():
        values, truth = np.array(found, dtype=np.float64), np.array(right, dtype=np.float64)
        return {
            "pearson": metrics.pearson(values, truth),
            "spearman": metrics.spearman(values, truth),
        }
    names = list(task.labels)
    said = np.array([names.index(each) for each in found], dtype=np.int64)
    truth_of = np.array([names.index(each) for each in right], dtype=np.int64)
    return {
        "accuracy": metrics.accuracy(said, truth_of),
        "f1": metrics.f1(said, truth_of),
        "matthews": metrics.matthews(said, truth_of, len(names)),
    }
