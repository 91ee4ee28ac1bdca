import json
import re

import pytest

from modernbert.base.errors import ConfigError, DataError
from modernbert.cli.main import run
from modernbert.evals.options import RetrievalOptions
from modernbert.evals.retrieval import evaluate_retrieval, lines_of
from modernbert.model.config import HeadConfig
from tests.architecture.source import ROOT
from tests.corpora import SHARED, needs_shared_data
from tests.judged_sets import write_set
from tests.sentence_folders import made


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retrieval") / "model"
    made().save(folder)
    return str(folder)


def test_the_command_writes_means_runs_and_queries(model, tmp_path, capsys):
    data, out = write_set(tmp_path / "small"), tmp_path / "out"
    assert run(["evaluate", "retrieval", model, "--data", str(data), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    for system in ("model", "bm25", "hybrid"):
        assert re.search(rf"small +{system} +\d\.\d{{4}} ", printed)
    found = json.loads((out / "results.json").read_text())
    (measured,) = found["sets"]
    assert (measured["documents"], measured["queries"], measured["judgements"]) == (4, 2, 4)
    assert measured["means"]["bm25"] == {"ndcg@10": 1.0, "mrr@10": 1.0, "recall@100": 1.0}
    assert measured["chances"].keys() == {"bm25", "hybrid"}
    lines = (out / "small" / "queries.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["query"] for row in rows] == ["q1", "q2"]
    mean = sum(row["model"]["ndcg@10"] for row in rows) / 2
    assert measured["means"]["model"]["ndcg@10"] == pytest.approx(mean)
    lines = (out / "small" / "bm25.run").read_text().splitlines()
    assert [line.split()[:4] for line in lines[:2]] == [
        ["q1", "Q0", "d1", "1"],
        ["q1", "Q0", "d3", "2"],
    ]
    page = (ROOT / "docs" / "reference" / "formats.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([^`\n]+)`", page.partition("## Evaluation of retrieval")[2]))
    assert found.keys() - named == measured.keys() - named == set()


def test_documents_are_cut_and_a_query_does_not_find_itself(model, tmp_path):
    documents = {name: ("", f"place {name} " + "token " * 300) for name in ("q1", "b")}
    data = write_set(tmp_path / "own", documents, {"q1": "place"}, [("q1", "b", "1")])
    out = tmp_path / "out"
    plain = RetrievalOptions(bm25=False, max_length=16)
    found = evaluate_retrieval(model, [data], out, plain)
    assert found.max_length == 16
    assert found.sets[0].means.keys() == {"model"}
    assert len((out / "own" / "model.run").read_text().splitlines()) == 2
    alone = RetrievalOptions(bm25=False, ignore_identical_ids=True)
    found = evaluate_retrieval(model, [data], out, alone)
    assert found.sets[0].means["model"]["mrr@10"] == 1.0
    assert "own  model" in lines_of(found)


def test_a_reranker_orders_what_both_found(model, tmp_path):
    made(HeadConfig(kind="sequence", labels=("score",), problem="regression")).save(tmp_path / "re")
    data, out = write_set(tmp_path / "small"), tmp_path / "out"
    options = RetrievalOptions(reranker=str(tmp_path / "re"), rerank=2)
    (found,) = evaluate_retrieval(model, [data], out, options).sets
    assert [*found.means] == ["model", "bm25", "hybrid", "reranked"]
    kept = [line.split() for line in (out / "small" / "reranked.run").read_text().splitlines()]
    first = [line.split() for line in (out / "small" / "hybrid.run").read_text().splitlines()]
    best = {(query, name) for query, _, name, rank, *_ in first if int(rank) <= 2}
    assert {(query, name) for query, _, name, *_ in kept} == best
    with pytest.raises(ConfigError, match="has no head that labels texts"):
        evaluate_retrieval(model, [data], out, RetrievalOptions(reranker=model))
    with pytest.raises(ConfigError, match="--rerank is 0: give 1 or more"):
        RetrievalOptions(rerank=0)


def test_what_cannot_be_measured_is_refused_before_anything_is_embedded(model, tmp_path):
    data = write_set(tmp_path / "small")
    twin = write_set(tmp_path / "other" / "small")
    options, out = RetrievalOptions(), tmp_path / "out"
    with pytest.raises(ConfigError, match="two folders are called 'small': give each another"):
        evaluate_retrieval(model, [data, twin], out, options)
    with pytest.raises(ConfigError, match="--max-length is 600: this model reads 8 to 512 tokens"):
        evaluate_retrieval(model, [data], out, RetrievalOptions(max_length=600))
    with pytest.raises(DataError, match="is no folder: give a folder in BEIR's layout"):
        evaluate_retrieval(model, [tmp_path / "none"], out, options)
    with pytest.raises(ConfigError, match="--number is 10: recall is of the first 100"):
        RetrievalOptions(number=10)
    with pytest.raises(ConfigError, match="--max-length cannot be negative"):
        RetrievalOptions(max_length=-1)


@pytest.mark.slow
@needs_shared_data
@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("retrieval/scifact", 0.663),
        ("retrieval/cranfield", 0.333),
        ("retrieval/pubmedqa", 0.970),
        ("retrieval/xquad-en", 0.962),
        ("long/openstax-qa", 0.622),
        ("long/qmsum", 0.419),
        ("code/cosqa", 0.340),
        ("code/stackoverflow-codenn/python", 0.174),
    ],
)
def test_bm25_reproduces_the_figures_of_real_sets(name, known):
    from modernbert.data.judged import read_judged
    from modernbert.evals.judging import by_id, judge, means
    from modernbert.retrieval.lexical import Lexical

    given = read_judged(SHARED / name, "test")
    hits = Lexical(list(given.documents.values())).search(list(given.queries.values()), 100)
    found = by_id(hits, list(given.queries), list(given.documents))
    assert means(judge(given.judged, found))["ndcg@10"] == pytest.approx(known, abs=0.01)
