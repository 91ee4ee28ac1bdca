import json
import sys

import numpy as np
import pytest

from modernbert.base.errors import MachineError
from modernbert.evals.baselines import FREQUENT_LABEL, FREQUENT_TAG, LIKELY_SENTENCE, TF_IDF
from modernbert.evals.glue import GLUE
from modernbert.evals.labelled_sets import LABELLED_SETS
from modernbert.evals.suite_files import Prepared
from tests.glue import sentences

TASKS = {task.name: task for suite in (GLUE, LABELLED_SETS) for task in suite.tasks}


def scores(name, tmp_path, **parts):
    from modernbert.evals.baselines import classical

    paths = {}
    for part, rows in parts.items():
        paths[part] = tmp_path / f"{part}.jsonl"
        paths[part].write_text("".join(json.dumps(row) + "\n" for row in rows))
    counts = {part: len(rows) for part, rows in parts.items()}
    is_pair = "pair" in next(iter(parts.values()))[0]
    given = Prepared(tmp_path, counts, paths, is_pair, 0)
    return {score.by: score for score in classical(TASKS[name], given)}


def test_frequencies_and_words_are_counted(tmp_path):
    rows = [{"text": text, "label": str(side)} for text, side in sentences(80, 0)]
    found = scores("SST-2", tmp_path, train=rows[:50], dev=rows[50:])
    sides = [row["label"] for row in rows]
    usual = max("01", key=sides[:50].count)
    share = 100 * np.mean([side == usual for side in sides[50:]])
    assert found[FREQUENT_LABEL].mean == pytest.approx(share)
    assert found[TF_IDF].mean == 100.0


def test_pairs_and_values_and_two_parts(tmp_path):
    rng = np.random.default_rng(0)
    texts = [text for text, _ in sentences(60, 0)]
    others = [texts[int(rng.integers(60))] if n % 2 else text for n, text in enumerate(texts)]
    values = [5.0 if a == b else 1.0 for a, b in zip(texts, others, strict=True)]
    rows = [
        {"text": a, "pair": b, "label": value}
        for a, b, value in zip(texts, others, values, strict=True)
    ]
    found = scores("STS-B", tmp_path, train=rows, dev=rows)
    assert found[FREQUENT_LABEL].measures == {"pearson": 0.0, "spearman": 0.0}
    assert found[TF_IDF].mean > 80
    named = [row | {"label": "neutral" if row["label"] > 3 else "entailment"} for row in rows]
    found = scores("MNLI", tmp_path, train=named, dev=named, test=named[:9])
    assert set(found[TF_IDF].measures) == {"accuracy (dev)", "accuracy (test)"}


def test_each_word_has_its_most_frequent_tag(tmp_path):
    rows = [
        {"tokens": ["a", "place", "of", "a"], "tags": ["O", "B-x", "I-x", "O"]},
        {"tokens": ["place"], "tags": ["B-x"]},
    ]
    unseen = {"tokens": ["new", "place"], "tags": ["B-x", "B-x"]}
    found = scores("GUM", tmp_path, train=rows, test=[rows[0], unseen])[FREQUENT_TAG]
    assert found.mean == pytest.approx(100 * 2 * 2 / (2 + 3))


def test_a_sentence_that_shares_words_answers(tmp_path):
    rows = [
        {
            "context": "Documents stay apart. The packed batch keeps a token!",
            "question": "What keeps the token?",
            "answers": {"text": ["The packed batch keeps a token"], "answer_start": [22]},
        }
    ]
    found = scores("XQuAD", tmp_path, train=rows, test=rows)
    assert found[LIKELY_SENTENCE].mean == 100.0


def test_what_is_not_installed_is_said_first(monkeypatch):
    from modernbert.evals.baselines import check_installed

    check_installed()
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MachineError, match="scikit-learn is not installed, and baselines need it"):
        check_installed()
