import json

import pytest

from modernbert.base.errors import ConfigError
from modernbert.bench.loading_case import LoadingCase
from modernbert.cli.bench import bench
from tests.corpora import make_corpus, write_texts

SMALL = ["--contexts", "64", "128", "--rows", "64", "512", "--batch-tokens", "2048"]
QUICK = ["--training-row-tokens", "512", "--seconds", "0.05", "--rounds", "2"]


@pytest.mark.slow
def test_the_command_appends_a_row(tmp_path):
    corpus = make_corpus(tmp_path, {"books": 40, "code": 30}).folder
    texts = write_texts(tmp_path / "more", ["the packed batch " * 50] * 3)
    command = ["loading", "--corpus", str(corpus), "--texts", str(texts), *SMALL, *QUICK]
    assert bench([*command, "--out", str(tmp_path)]) == 0
    row = json.loads((tmp_path / "loading.jsonl").read_text(encoding="utf-8"))
    pairs = [(fill["context_length"], fill["row_tokens"]) for fill in row["fills"]]
    assert pairs == [(64, 64), (64, 512), (128, 512)]
    for fill in row["fills"]:
        assert 0.8 < fill["fill"] <= 1
        assert fill["tokens"] >= row["corpus_tokens"]
    speeds = row["speeds"]
    assert [*speeds] == ["training", "loader", "loader of large rows", "prepare"]
    assert all(found["tokens_per_second"] > 0 for found in speeds.values())
    loader = speeds["loader"]
    assert loader["quartiles"][0] <= loader["of_training"] <= loader["quartiles"][1]
    fed = speeds["loader of large rows"]["tokens_per_second"] / row["published_tokens_per_second"]
    assert row["h100s_fed"] == fed
    assert 312_000 < row["published_tokens_per_second"] < 313_000


def test_a_preset_that_nobody_knows_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no preset 'tinny'"):
        bench(["loading", "--corpus", "corpus", "--model", "tinny", "--out", str(tmp_path)])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"contexts": ()}, "contexts and rows are (1024, 8192, 98304): give some, of 3 tokens"),
        ({"rows": (2,)}, "contexts and rows are (1024, 8192, 2): give some, of 3 tokens or more"),
        ({"rows": (512,)}, "no row of 512 tokens holds a context of 1024: give larger rows"),
        ({"batch_tokens": 9}, "batch_tokens 9 and training_row_tokens 16384 must hold a row of"),
        ({"rounds": 1}, "rounds is 1 and seconds 4.0: a spread needs 2 rounds or more"),
        ({"seconds": float("nan")}, "rounds is 5 and seconds nan"),
    ],
)
def test_sizes_that_cannot_be_measured_are_refused(fields, message):
    with pytest.raises(ConfigError) as caught:
        LoadingCase(**fields)
    assert message in str(caught.value)
