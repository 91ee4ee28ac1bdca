"""Hard negatives beside those that sentence-transformers mines with the same model."""

import pytest

from modernbert.retrieval.mine import mine
from modernbert.retrieval.mine_options import MineOptions
from tests.pairs import rows, write_rows
from tests.runs import rows_of
from tests.sentence_folders import made


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"relative_margin": 0.0, "margin": -9.0}, {}),
        ({"relative_margin": 0.97, "margin": -9.0}, {"relative_margin": 0.03}),
        ({"relative_margin": 0.0, "margin": 0.01}, {"absolute_margin": 0.01}),
        ({"relative_margin": 0.0, "margin": -9.0, "max_score": 0.9}, {"max_score": 0.9}),
        ({"relative_margin": 0.0, "margin": -9.0, "skip_top": 2}, {"range_min": 2}),
    ],
)
def test_negatives_are_those_of_sentence_transformers(tmp_path, ours, theirs):
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    folder = tmp_path / "model"
    made().save(folder)
    many = rows(40)
    path = write_rows(tmp_path / "pairs.jsonl", many)
    options = MineOptions(number=3, candidates=30, **ours)
    mine(str(folder), path, tmp_path / "mined.jsonl", options)
    columns = {name: [row[name] for row in many] for name in ("query", "positive")}
    range_max = 30 + options.skip_top
    found = mine_hard_negatives(
        Dataset.from_dict(columns),
        SentenceTransformer(str(folder), device="cpu"),
        num_negatives=3,
        range_max=range_max,
        output_format="n-tuple",
        verbose=False,
        **theirs,
    )
    assert len(found)
    told = [{name: row[name] for name in ("query", "positive")} | row for row in found]
    assert rows_of(tmp_path / "mined.jsonl") == [
        {name: row[name] for name in row if name != "score"} for row in told
    ]
