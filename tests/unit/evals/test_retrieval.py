import json
import re
import sys
from dataclasses import replace
from os import getpid

import pytest

from modernbert.base.errors import ConfigError, DataError, MachineError
from modernbert.base.lock import held
from modernbert.cli.main import run
from modernbert.evals.judging import MEASURES
from modernbert.evals.options import RetrievalOptions
from modernbert.evals.retrieval import evaluate_retrieval
from modernbert.evals.retrieval_results import SetResult, averages, lines_of
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
    assert measured["means"]["bm25"] == dict.fromkeys(MEASURES, 1.0)
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
    assert found.keys() - named == measured.keys() - named == found["asked"].keys() - named == set()


def test_documents_are_cut_and_a_query_does_not_find_itself(model, tmp_path):
    documents = {name: ("", f"place {name} " + "token " * 300) for name in ("q1", "b")}
    data = write_set(tmp_path / "own", documents, {"q1": "place"}, [("q1", "b", "1")])
    plain = RetrievalOptions(bm25=False, max_length=(16,))
    found = evaluate_retrieval(model, [data], tmp_path / "cut", plain)
    assert found.asked.lengths == (16,)
    assert found.sets[0].means.keys() == {"model"}
    assert len((tmp_path / "cut" / "own" / "model.run").read_text().splitlines()) == 2
    alone = RetrievalOptions(bm25=False, ignore_identical_ids=True)
    found = evaluate_retrieval(model, [data], tmp_path / "alone", alone)
    assert found.sets[0].means["model"]["mrr@10"] == 1.0
    assert "own  model" in lines_of(found)


def test_as_many_are_left_where_a_query_does_not_find_itself(model, tmp_path):
    documents = {f"q{n}": ("", f"place {n} of the batch") for n in range(102)}
    queries = {name: text for name, (_, text) in documents.items()}
    judgements = [(f"q{n}", f"q{n - 1}", "1") for n in range(102)][1:]
    data = write_set(tmp_path / "own", documents, queries, judgements)
    found = evaluate_retrieval(
        model, [data], tmp_path / "out", RetrievalOptions(ignore_identical_ids=True)
    )
    for system in ("model", "bm25", "hybrid"):
        text = (tmp_path / "out" / "own" / f"{system}.run").read_text()
        lines = [line.split() for line in text.splitlines()]
        assert len(lines) == 101 * 100
        assert all(query != document for query, _, document, *_ in lines)
    assert found.sets[0].queries == 101


def test_white_space_in_an_id_ends_no_field(model, tmp_path):
    data = write_set(
        tmp_path / "blank", {"d 1": ("", "a token")}, {"8 b": "token"}, [("8 b", "d 1", "1")]
    )
    (found,) = evaluate_retrieval(model, [data], tmp_path / "out", RetrievalOptions()).sets
    assert found.means["bm25"]["ndcg@10"] == 1.0
    (line,) = (tmp_path / "out" / "blank" / "bm25.run").read_text().splitlines()
    assert line.split()[:3] == ["8%20b", "Q0", "d%201"]
    assert len(line.split()) == 6


def test_what_fails_before_a_set_is_searched_leaves_no_folder(model, tmp_path, monkeypatch):
    def broken(*_):
        raise DataError("broken")

    monkeypatch.setattr("modernbert.evals.retrieval.find", broken)
    with pytest.raises(DataError, match="broken"):
        evaluate_retrieval(
            model, [write_set(tmp_path / "small")], tmp_path / "out", RetrievalOptions()
        )
    assert not (tmp_path / "out").exists()


def test_a_reranker_orders_what_both_found(model, tmp_path):
    made(HeadConfig(kind="sequence", labels=("score",), problem="regression")).save(tmp_path / "re")
    data, out = write_set(tmp_path / "small"), tmp_path / "out"
    options = RetrievalOptions(reranker=str(tmp_path / "re"), rerank=2)
    (found,) = evaluate_retrieval(model, [data], out, options).sets
    assert [*found.means] == ["model", "bm25", "hybrid", "reranked", "joined"]
    kept = [line.split() for line in (out / "small" / "reranked.run").read_text().splitlines()]
    first = [line.split() for line in (out / "small" / "hybrid.run").read_text().splitlines()]
    best, again = (
        {(query, name) for query, _, name, rank, *_ in lines if int(rank) <= 2}
        for lines in (first, kept)
    )
    assert again == best
    assert found.means["reranked"]["recall@100"] == found.means["hybrid"]["recall@100"]
    with pytest.raises(ConfigError, match="a reranker has a head that scores pairs"):
        evaluate_retrieval(model, [data], tmp_path / "no", RetrievalOptions(reranker=model))
    with pytest.raises(ConfigError, match="--rerank is -1: give 1 or more"):
        RetrievalOptions(rerank=-1)


@pytest.mark.parametrize("judgement", [("q1", "d1", "0"), ("q1", "gone", "1")])
def test_a_set_in_which_nothing_answers_is_refused(model, tmp_path, judgement):
    data = write_set(tmp_path / "small", judgements=[judgement])
    with pytest.raises(DataError, match="no query judged in test has an answer in the corpus"):
        evaluate_retrieval(model, [data], tmp_path / "out", RetrievalOptions())


def test_what_cannot_be_measured_is_refused_before_anything_is_embedded(model, tmp_path):
    data = write_set(tmp_path / "small")
    twin = write_set(tmp_path / "other" / "small")
    options, out = RetrievalOptions(), tmp_path / "out"
    with pytest.raises(ConfigError, match="two folders are called 'small': give each another"):
        evaluate_retrieval(model, [data, twin], out, options)
    with pytest.raises(ConfigError, match="--max-length is 600: this model reads 8 to 512 tokens"):
        evaluate_retrieval(model, [data], out, RetrievalOptions(max_length=(64, 600)))
    with pytest.raises(DataError, match="is no folder: give a folder in BEIR's layout"):
        evaluate_retrieval(model, [tmp_path / "none"], out, options)
    with pytest.raises(ConfigError, match="--number is 10: recall is of the first 100"):
        RetrievalOptions(number=10)
    with pytest.raises(ConfigError, match="--max-length names a number twice: give each once"):
        RetrievalOptions(max_length=(64, 64))
    with pytest.raises(ConfigError, match="--distractors cannot be negative"):
        RetrievalOptions(distractors=-1)
    with pytest.raises(ConfigError, match="--data names no folder: give at least one"):
        evaluate_retrieval(model, [], out, options)


def test_a_stopped_evaluation_goes_on_with_what_is_missing(model, tmp_path, monkeypatch, capsys):
    data, out = [write_set(tmp_path / name) for name in ("one", "two", "three")], tmp_path / "out"
    options = RetrievalOptions()
    whole = evaluate_retrieval(model, data, tmp_path / "whole", options)
    # As Ctrl-C between two sets leaves it.
    evaluate_retrieval(model, data[:1], out, options)
    begun = (out / "one" / "queries.jsonl").stat().st_mtime_ns
    (out / "two").mkdir()
    found = evaluate_retrieval(model, data, out, options)
    assert [replace(each, seconds=0) for each in found.sets] == [
        replace(each, seconds=0) for each in whole.sets
    ]
    assert (out / "one" / "queries.jsonl").stat().st_mtime_ns == begun
    assert "one was searched before" in capsys.readouterr().err
    table = lines_of(found)
    assert re.search(r"average +bm25 +1\.0000 +1\.0000 +1\.0000", table)
    told = json.loads((out / "results.json").read_text())
    assert told["averages"]["bm25"]["ndcg@10"] == 1.0


def test_two_evaluations_do_not_write_into_one_folder(model, tmp_path):
    small, out = tmp_path / "small", tmp_path / "out"
    write_set(small)
    out.mkdir()
    with held(out, "written to"), pytest.raises(ConfigError, match=f"written to by .* {getpid()}"):
        evaluate_retrieval(str(model), [small], out, RetrievalOptions())
    assert evaluate_retrieval(str(model), [small], out, RetrievalOptions()).sets


def test_parts_of_a_group_count_once_in_the_average():
    def result(name, value, group=""):
        means = {"model": {"ndcg@10": value}, **({"bm25": {"ndcg@10": 1.0}} if value else {})}
        return SetResult(name, 1, 1, 1, (), means, {}, 0.0, group=group)

    sets = [result("a", 0.0), result("go", 0.4, "code"), result("java", 0.8, "code")]
    assert averages(sets) == {"model": {"ndcg@10": pytest.approx(0.3)}}
    assert averages(sets[:1]) == {}


def test_another_model_other_options_and_other_texts_do_not_go_on(model, tmp_path):
    data, out, options = write_set(tmp_path / "small"), tmp_path / "out", RetrievalOptions()
    evaluate_retrieval(model, [data], out, options)
    other = made(num_layers=5)
    other.save(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"out holds an evaluation with model_fingerprint \w+, "):
        evaluate_retrieval(str(tmp_path / "other"), [data], out, options)
    with pytest.raises(
        ConfigError, match=r"with lengths \[512\], and this one has \[16, 64\]: give"
    ):
        evaluate_retrieval(model, [data], out, RetrievalOptions(max_length=(64, 16)))
    (data / "queries.jsonl").write_text('{"_id": "q1", "text": "a"}\n{"_id": "q2", "text": "b"}\n')
    with pytest.raises(ConfigError, match="small is of other texts or judgements of that name"):
        evaluate_retrieval(model, [data], out, options)
    for content in ("{", '{"format": 2}', '{"format": 1, "sets": []}'):
        (out / "results.json").write_text(content)
        with pytest.raises(ConfigError, match=r"results\.json is of something else, or of another"):
            evaluate_retrieval(model, [data], out, options)


def test_how_many_queries_are_measured_at_once_changes_nothing(model, tmp_path, monkeypatch):
    data = write_set(tmp_path / "small")
    evaluate_retrieval(model, [data], tmp_path / "one", RetrievalOptions())
    monkeypatch.setattr("modernbert.evals.searching._QUERIES", 1)
    evaluate_retrieval(model, [data], tmp_path / "two", RetrievalOptions())
    for name in ("queries.jsonl", "model.run", "bm25.run", "hybrid.run"):
        one, two = ((tmp_path / each / "small" / name).read_text() for each in ("one", "two"))
        assert one == two


def test_sets_by_name_need_a_package(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    command = ["evaluate", "mteb", model, "--suite", "beir", "--out", str(tmp_path / "out")]
    with pytest.raises(MachineError, match="come through mteb: pip install 'modernbert\\[mteb\\]'"):
        run(command)


def test_interrupting_says_how_to_go_on(model, tmp_path, monkeypatch, capsys):
    data, out = write_set(tmp_path / "small"), tmp_path / "out"

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("modernbert.evals.retrieval.find", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(["evaluate", "retrieval", model, "--data", str(data), "--out", str(out)])
    assert "go on with the same command" in capsys.readouterr().err
    monkeypatch.undo()
    assert run(["evaluate", "retrieval", model, "--data", str(data), "--out", str(out)]) == 0


def test_long_documents_are_searched_at_each_length(model, tmp_path, capsys):
    documents = {
        f"d{n}": ("", f"place {n} " + "token " * 60 * n + "packed batch") for n in range(9)
    }
    data = write_set(
        tmp_path / "pages",
        documents,
        {"q": "packed batch", "r": "7"},
        [("q", "d0", "1"), ("r", "d7", "1")],
    )
    out = tmp_path / "out"
    command = ["evaluate", "long", model, "--data", str(data), "--out", str(out)]
    with pytest.raises(ConfigError, match="--max-length is 8192: this model reads 8 to 512"):
        run([*command, "--max-length", "512", "8192"])
    assert run([*command[:-1], str(tmp_path / "usual")]) == 0
    usual = json.loads((tmp_path / "usual" / "results.json").read_text())
    assert usual["asked"]["lengths"] == [512]
    assert run([*command, "--max-length", "512", "32"]) == 0
    printed = capsys.readouterr().out
    (found,) = json.loads((out / "results.json").read_text())["sets"]
    systems = ["model@32", "model@512", "bm25", "hybrid@32", "hybrid@512"]
    assert [*found["means"]] == systems
    assert found["chances"].keys() == {*systems} - {"model@512"}
    assert "pages  model@32" in printed
    alone = evaluate_retrieval(model, [data], tmp_path / "32", RetrievalOptions(max_length=(32,)))
    runs = [
        path.read_text()
        for path in (out / "pages" / "model@32.run", tmp_path / "32" / "pages" / "model.run")
    ]
    assert [line.split()[:3] for line in runs[0].splitlines()] == [
        line.split()[:3] for line in runs[1].splitlines()
    ]
    assert alone.sets[0].means["model"] == pytest.approx(found["means"]["model@32"])


def test_functions_are_searched_among_all_and_among_others(model, tmp_path, capsys):
    rows = [
        {
            "docstring": f"Return place {n} of the batch.",
            "code": f"def place_{n}(batch): return batch[{n}]",
        }
        for n in range(12)
    ]
    (tmp_path / "python").mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "python" / "test.jsonl").write_text(lines)
    data, out = tmp_path / "python", tmp_path / "out"
    assert run(["evaluate", "code", model, "--data", str(data), "--out", str(out)]) == 0
    assert "mrr-of-1000  mrr@100" in capsys.readouterr().out
    (found,) = json.loads((out / "results.json").read_text())["sets"]
    assert (found["documents"], found["queries"]) == (12, 12)
    assert found["means"]["bm25"]["mrr-of-1000"] == found["means"]["bm25"]["mrr@100"] == 1.0
    few = RetrievalOptions(distractors=3)
    (fewer,) = evaluate_retrieval(model, [data], tmp_path / "few", few).sets
    assert fewer.means["model"]["mrr-of-4"] >= found["means"]["model"]["mrr-of-1000"]
    assert fewer.means["model"]["mrr@100"] == found["means"]["model"]["mrr@100"]


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


@pytest.mark.slow
@needs_shared_data
@pytest.mark.parametrize(
    ("language", "known"),
    [("go", 0.491), ("javascript", 0.465), ("rust", 0.490), ("python", 0.409)],
)
def test_bm25_reproduces_the_figures_of_functions_where_queries_are_lowercased(language, known):
    # "canInline" is then one word, and not "can inline". As they are, queries find more.
    from modernbert.data.functions import read_functions
    from modernbert.retrieval.lexical import Lexical

    given = read_functions(SHARED / "code" / "csn-like" / language, "test")
    lexical = Lexical(list(given.documents.values()))

    def mrr(queries):
        found = [hits.numbers.tolist() for hits in lexical.search(queries, 1000)]
        ranks = [each.index(own) + 1 for own, each in enumerate(found) if own in each]
        return sum(1 / rank for rank in ranks) / len(queries)

    queries = list(given.queries.values())
    lowered = mrr([query.lower() for query in queries])
    assert lowered == pytest.approx(known, abs=0.01)
    assert mrr(queries) > lowered
