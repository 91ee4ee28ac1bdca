"""Answers and spans against transformers' pipelines, their counts against SQuAD's and seqeval's."""

import random

import numpy as np
import pytest
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
    AutoTokenizer,
)
from transformers import pipeline as pipeline_of
from transformers.pipelines import SUPPORTED_TASKS

from modernbert.infer.answer import answer
from modernbert.infer.tag import tag
from modernbert.model.config import HeadConfig
from modernbert.tasks.spans import quality
from modernbert.tasks.tokens import quality as span_quality
from tests.sentence_folders import made

NAMES = ("O", "B-X", "I-X", "B-Y", "I-Y")
WORDS = ["the", "packed", "batch", "keeps", "every", "token", "apart", "documents", "place"]
pytestmark = [
    pytest.mark.filterwarnings("ignore:Tokenizer does not support real words"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
SCHEMES = {"BIO": "BI", "BIOES": "BIES"}


def texts(count, seed=0, longest=40):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(3, longest))) for _ in range(count)]


def without_blank(text, start):
    """Theirs begin with the blank before a word, where a byte-level token has it."""
    return start + text[start].isspace()


def test_spans_are_those_of_their_pipeline(tmp_path):
    ours = made(HeadConfig(kind="tokens", labels=NAMES))
    ours.save(tmp_path / "m")
    theirs = pipeline_of(
        "token-classification",
        model=AutoModelForTokenClassification.from_pretrained(tmp_path / "m"),
        tokenizer=AutoTokenizer.from_pretrained(tmp_path / "m"),
        aggregation_strategy="first",
    )
    for text, found in zip(texts(12), tag(ours, texts(12)), strict=True):
        right = theirs(text)
        assert [(e.label, e.start, e.end) for e in found] == [
            (each["entity_group"], without_blank(text, each["start"]), each["end"])
            for each in right
        ]
        assert all(text[e.start : e.end] == e.text for e in found)
        scores = [float(each["score"]) for each in right]
        assert [each.score for each in found] == pytest.approx(scores, rel=1e-3)


@pytest.mark.skipif("question-answering" not in SUPPORTED_TASKS, reason="transformers has none")
def test_answers_are_those_of_their_pipeline(tmp_path):
    ours = made(HeadConfig(kind="spans"))
    ours.save(tmp_path / "m")
    theirs = pipeline_of(
        "question-answering",
        model=AutoModelForQuestionAnswering.from_pretrained(tmp_path / "m"),
        tokenizer=AutoTokenizer.from_pretrained(tmp_path / "m"),
        align_to_words=False,
    )
    asked = list(zip(texts(8, seed=1, longest=8), texts(8), strict=True))
    for (question, text), found in zip(asked, answer(ours, asked, max_tokens=15), strict=True):
        right = theirs(question=question, context=text, max_answer_len=15, max_seq_len=500)
        assert found[0].start == without_blank(text, right["start"])
        assert found[0].end == right["end"]
        assert found[0].score == pytest.approx(right["score"], rel=1e-3)


def test_answers_count_as_squad_counts_them():
    theirs = pytest.importorskip("transformers.data.metrics.squad_metrics")
    rng = random.Random(0)
    pool = ["The", "a", "Red,", "boat", "red", "an", "1,000", "...", "boat."]
    for _ in range(300):
        said = " ".join(rng.choices(pool, k=rng.randint(0, 4)))
        right = [" ".join(rng.choices(pool, k=rng.randint(1, 4))) for _ in range(rng.randint(0, 3))]
        known = [each for each in right if theirs.normalize_answer(each)] or [""]
        f1 = max(theirs.compute_f1(each, said) for each in known)
        exact = max(theirs.compute_exact(each, said) for each in known)
        assert quality(said, right) == (pytest.approx(f1), exact)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_spans_count_as_seqeval_counts_them(scheme):
    theirs = pytest.importorskip("seqeval.metrics")
    rng = np.random.default_rng(0)
    names = ["O", *(f"{prefix}-{kind}" for prefix in SCHEMES[scheme] for kind in ("PER", "LOC"))]
    right = [rng.choice(names, size).tolist() for size in rng.integers(1, 30, 200)]
    found = [
        [tag if rng.random() < 0.7 else str(rng.choice(names)) for tag in tags] for tags in right
    ]
    f1, precision, recall, accuracy = span_quality(found, right)
    assert f1 == pytest.approx(theirs.f1_score(right, found))
    assert precision == pytest.approx(theirs.precision_score(right, found))
    assert recall == pytest.approx(theirs.recall_score(right, found))
    assert accuracy == pytest.approx(theirs.accuracy_score(right, found))
