import json

import pytest

from modernbert.base.errors import ConfigError, DataError
from modernbert.cli.main import run
from modernbert.evals.compare import compare
from modernbert.evals.judging import MEASURES, chance


def evaluation(folder, values, names=("small",), system="model", measures=MEASURES):
    """Write what `evaluate retrieval` writes, as far as it is compared."""
    for name in names:
        (folder / name).mkdir(parents=True)
        rows = [
            {"query": f"q{number}", system: dict.fromkeys(measures, value)}
            for number, value in enumerate(values)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / name / "queries.jsonl").write_text(lines)
    told = {"format": 1, "sets": [{"name": name} for name in names]}
    (folder / "results.json").write_text(json.dumps(told))
    return folder


def test_two_evaluations_are_compared_query_by_query(tmp_path, capsys):
    one = evaluation(tmp_path / "one", [0.1, 0.5, 0.3], ("left", "small"))
    other = evaluation(tmp_path / "other", [0.3, 0.6, 0.3])
    found = compare(one, other, "model")
    assert [(each.set, each.measure) for each in found] == [("small", name) for name in MEASURES]
    assert (found[0].one, found[0].other) == (pytest.approx(0.3), pytest.approx(0.4))
    sides = (
        {f"q{n}": {"ndcg@10": v} for n, v in enumerate(each)} for each in ([0.1, 0.5], [0.3, 0.6])
    )
    assert found[0].chance == pytest.approx(chance(*sides), abs=0.02)
    assert run(["evaluate", "compare", str(one), str(other)]) == 0
    assert "small  ndcg@10     0.3000  0.4000  +0.1000" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused(tmp_path):
    one = evaluation(tmp_path / "one", [0.1, 0.5])
    with pytest.raises(ConfigError, match="has no system 'bm25': it has model"):
        compare(one, one, "bm25")
    with pytest.raises(ConfigError, match="are of other queries: evaluate again"):
        compare(one, evaluation(tmp_path / "more", [0.1, 0.5, 0.7]), "model")
    with pytest.raises(ConfigError, match=r"has small, .* large: no set is in both"):
        compare(one, evaluation(tmp_path / "large", [0.1], ("large",)), "model")
    with pytest.raises(DataError, match="holds no evaluation of retrieval: give a folder that"):
        compare(one, tmp_path, "model")
    (one / "results.json").write_text('{"format": 2, "sets": []}')
    with pytest.raises(DataError, match="holds no evaluation of retrieval: give a folder that"):
        compare(one, one, "model")


def test_sets_of_one_name_and_other_texts_are_refused(tmp_path):
    one, other, old = (evaluation(tmp_path / name, [0.1, 0.5]) for name in ("a", "b", "c"))
    for folder, told in ((one, "1f"), (other, "2e")):
        sets = [{"name": "small", "fingerprint": told}]
        (folder / "results.json").write_text(json.dumps({"format": 1, "sets": sets}))
    with pytest.raises(ConfigError, match=r"b/small are of other texts or .* \(1f, 2e\): eva"):
        compare(one, other, "model")
    assert compare(one, old, "model")


def test_measures_that_both_have_are_compared(tmp_path):
    one = evaluation(tmp_path / "one", [0.1, 0.5])
    other = evaluation(tmp_path / "other", [0.1, 0.5], measures=("mrr-of-1000", *MEASURES))
    assert compare(other, other, "model")[0].measure == "mrr-of-1000"
    assert [each.measure for each in compare(other, one, "model")] == [*MEASURES]
