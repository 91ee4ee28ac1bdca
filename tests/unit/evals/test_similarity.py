import json

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

import modernbert
from modernbert.base.errors import DataError
from modernbert.evals import similarity
from tests.corpora import texts
from tests.sentence_folders import made

PAIRS = list(zip(texts(12, 3, 9), texts(24, 3, 9)[12:], strict=True))


@pytest.fixture
def given(tmp_path):
    """A model, and pairs with numbers."""
    made().save(tmp_path / "model")
    rows = [
        {"sentence1": one, "sentence2": other, "score": number % 5}
        for number, (one, other) in enumerate(PAIRS)
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return tmp_path


def test_cosines_are_compared_with_peoples_numbers(given):
    (found,) = similarity.evaluate_similarity(
        [str(given / "model")], [given / "pairs.jsonl"], "cpu"
    )
    model = modernbert.load(given / "model")
    ones, others = (model.embed(side).double().numpy() for side in zip(*PAIRS, strict=True))
    norms = np.linalg.norm(ones, axis=1) * np.linalg.norm(others, axis=1)
    cosines = (ones * others).sum(1) / norms
    numbers = [number % 5 for number in range(12)]
    assert found.pairs == 12
    assert found.spearman == pytest.approx(spearmanr(cosines, numbers).statistic, abs=1e-6)
    assert found.pearson == pytest.approx(pearsonr(cosines, numbers).statistic, abs=1e-6)
    similarity.write([found], given / "out")
    told = json.loads((given / "out" / "similarity.json").read_text())
    assert told["agreements"][0]["spearman"] == found.spearman
    assert f"{found.spearman:.4f}" in similarity.lines_of([found])


def test_files_without_pairs_are_refused(given):
    (given / "texts.csv").write_text("text,label\na text,1\nanother,2\n")
    with pytest.raises(DataError, match=r"two texts and a number a row .* sentence2 and score"):
        similarity.evaluate_similarity([str(given / "model")], [given / "texts.csv"], "cpu")


def test_the_column_that_holds_no_numbers_is_named(given):
    (given / "kinds.csv").write_text("sentence1,sentence2,label\na text,another,main\nc d,e f,b\n")
    said = r"the column 'label' of .*kinds.csv was taken for the numbers, and .*no finite number"
    with pytest.raises(DataError, match=said):
        similarity.evaluate_similarity([str(given / "model")], [given / "kinds.csv"], "cpu")


@pytest.mark.parametrize("numbers", [[1], [2, 2, 2]])
def test_numbers_without_an_order_are_refused(given, numbers):
    lines = "".join(f"a text,another {n},{number}\n" for n, number in enumerate(numbers))
    (given / "few.csv").write_text(f"sentence1,sentence2,score\n{lines}")
    said = f"few.csv has {len(numbers)} pairs with 1 different numbers, and a correlation needs 2"
    with pytest.raises(DataError, match=said):
        similarity.evaluate_similarity([str(given / "model")], [given / "few.csv"], "cpu")
