"""Our models in mteb: its scores of what they find are ours, and those of sentence-transformers."""

import json

import pytest
import torch

import modernbert
from modernbert.base.errors import ConfigError, DataError
from modernbert.cli.main import run
from modernbert.evals.mteb.models import Encoder, Search
from modernbert.evals.mteb.tasks import _jobs, evaluate_tasks, tasks_of
from modernbert.evals.options import RetrievalOptions
from modernbert.evals.retrieval import evaluate_retrieval
from modernbert.evals.searching import Searcher
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import LateInteraction, Normalize, SentenceConfig
from tests.corpora import texts
from tests.judged_sets import write_set
from tests.loopback import Hub, Repository, running
from tests.runs import called
from tests.sentence_folders import change, made

# What the other line of transformers is installed with has none of them.
mteb = pytest.importorskip("mteb", reason="mteb is not installed here")
pytest.importorskip("bm25s", reason="bm25s is not installed here")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

DOCUMENTS = {f"d{n}": (f"title {n}", text) for n, text in enumerate(texts(50, 3, 40))}
QUERIES = {f"q{n}": " ".join(text.split()[1:6]) for n, text in enumerate(texts(9, 5, 40))}
JUDGED = {f"q{n}": {f"d{(7 * n + step) % 50}": 1 + step for step in range(3)} for n in range(9)}


def task(subsets=("default",), ignore_identical_ids=False):
    """Make a set of mteb's own classes, with its rows in memory."""
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    languages = ["eng-Latn"] if len(subsets) == 1 else {name: ["eng-Latn"] for name in subsets}

    class Local(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="Local",
            type="Retrieval",
            description="Made here.",
            main_score="ndcg_at_10",
            dataset={"path": "local/set", "revision": "1"},
            eval_splits=["test"],
            eval_langs=languages,
        )

        def load_data(self, num_proc=None, **_):
            rows = [{"id": n, "title": t, "text": x} for n, (t, x) in DOCUMENTS.items()]
            asked = [{"id": n, "text": text} for n, text in QUERIES.items()]
            split = {
                "corpus": Dataset.from_list(rows),
                "queries": Dataset.from_list(asked),
                "relevant_docs": JUDGED,
                "top_ranked": None,
            }
            self.dataset = {name: {"test": dict(split)} for name in subsets}
            self.data_loaded = True

    found = Local()
    found.ignore_identical_ids = ignore_identical_ids
    return found


def late():
    model = made()
    config = LateInteraction(form="MultiVectorEncoder")
    steps = (Normalize(),)
    model.sentence = Sentence(
        SentenceConfig(max_length=64, steps=steps, late=config, similarity="maxsim")
    )
    return model


@pytest.mark.parametrize("kind", ["dense", "late"])
def test_mtebs_score_is_ours_of_the_same_set(tmp_path, kind):
    (made() if kind == "dense" else late()).save(tmp_path / "model")
    model = str(tmp_path / "model")
    judgements = [(q, d, str(n)) for q, each in JUDGED.items() for d, n in each.items()]
    folder = write_set(tmp_path / "Local", DOCUMENTS, QUERIES, judgements)
    options = RetrievalOptions(number=1000)
    (theirs,) = evaluate_tasks(model, [task()], tmp_path / "theirs", options).sets
    (ours,) = evaluate_retrieval(model, [folder], tmp_path / "ours", options).sets
    assert theirs.means == ours.means
    assert theirs.chances == ours.chances
    assert theirs.official == pytest.approx(ours.means["model"]["ndcg@10"], abs=1e-5)
    assert (theirs.name, theirs.documents, theirs.queries) == ("Local", 50, 9)
    rows = [(tmp_path / n / "Local" / "queries.jsonl").read_text() for n in ("theirs", "ours")]
    assert rows[0] == rows[1]


CONFIGS = """---
configs:
- config_name: default
  data_files: [{split: test, path: qrels/test-*}]
- config_name: corpus
  data_files: [{split: corpus, path: corpus/part-*}]
- config_name: queries
  data_files: [{split: queries, path: queries/part-*}]
---
"""


def write_repository(folder):
    """Lay a set out as those of mteb lie on the hub."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    tables = {
        "corpus/part-0": [{"_id": n, "title": t, "text": x} for n, (t, x) in DOCUMENTS.items()],
        "queries/part-0": [{"_id": n, "text": text} for n, text in QUERIES.items()],
        "qrels/test-0": [
            {"query-id": q, "corpus-id": d, "score": n}
            for q, each in JUDGED.items()
            for d, n in each.items()
        ],
    }
    for name, rows in tables.items():
        (folder / name).parent.mkdir(parents=True)
        parquet.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    (folder / "README.md").write_text(CONFIGS)


def test_a_set_comes_from_the_hub_by_its_name(tmp_path):
    made().save(tmp_path / "model")
    write_repository(tmp_path / "repository")
    told = mteb.get_task("SciFact").metadata.dataset
    commits = {told["revision"]: tmp_path / "repository"}
    with running(Hub({told["path"]: Repository(commits, {})})) as hub:
        done = called(
            *("evaluate", "mteb", tmp_path / "model", "--tasks", "SciFact"),
            *("--out", tmp_path / "out"),
            HF_ENDPOINT=hub.url,
            HF_HUB_OFFLINE="0",
            HF_HOME=str(tmp_path / "home"),
            NO_PROXY="127.0.0.1",
        )
    assert done.returncode == 0, done.stderr
    judgements = [(q, d, str(n)) for q, each in JUDGED.items() for d, n in each.items()]
    folder = write_set(tmp_path / "SciFact", DOCUMENTS, QUERIES, judgements)
    options = RetrievalOptions(number=1000)
    (ours,) = evaluate_retrieval(str(tmp_path / "model"), [folder], tmp_path / "ours", options).sets
    (found,) = json.loads((tmp_path / "out" / "results.json").read_text())["sets"]
    assert found["means"] == ours.means
    assert found["official"] == pytest.approx(ours.means["model"]["ndcg@10"], abs=1e-5)


def test_each_language_is_a_set_and_what_is_done_is_skipped(tmp_path, capsys):
    made().save(tmp_path / "model")
    options, out = RetrievalOptions(bm25=False), tmp_path / "out"
    found = evaluate_tasks(str(tmp_path / "model"), [task(("go", "java"))], out, options)
    assert [each.name for each in found.sets] == ["Local-go", "Local-java"]
    again = evaluate_tasks(str(tmp_path / "model"), [task(("go", "java"))], out, options)
    assert again == found
    assert {each.group for each in found.sets} == {"Local"}
    assert "Local-java was searched before" in capsys.readouterr().err
    assert json.loads((out / "results.json").read_text())["sets"][0]["official"] > 0


def test_our_encoder_is_scored_as_sentence_transformers(tmp_path):
    from sentence_transformers import SentenceTransformer

    made().save(tmp_path / "model")
    settings = tmp_path / "model" / "config_sentence_transformers.json"
    change(settings, prompts={"query": "batch: ", "document": "place: "})
    ours = Encoder(modernbert.load(tmp_path / "model"))
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    how = {"cache": None, "co2_tracker": False, "show_progress_bar": False}
    one, other = (
        mteb.evaluate(each, task(), **how)[0].scores["test"][0] for each in (ours, theirs)
    )
    measures = ("ndcg_at_10", "mrr_at_10", "recall_at_5", "map_at_100")
    assert [one[name] for name in measures] == pytest.approx([other[n] for n in measures], abs=1e-5)
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert ours.similarity(x, x).diagonal() == pytest.approx(ours.similarity_pairwise(x, x))
    assert isinstance(ours, mteb.models.EncoderProtocol)


def test_the_prompt_of_a_task_wins_over_that_of_a_side():
    model = made()
    prompts = {"Local-query": "batch: ", "Local": "place: ", "query": "every: "}
    model.sentence = Sentence(SentenceConfig(max_length=64, prompts=prompts))
    from mteb.types import PromptType

    told = {"task_metadata": task().metadata, "hf_split": "test", "hf_subset": "default"}
    inputs = [{"text": ["the packed batch"]}, {"text": ["apart"]}]
    for side, prompt in ((PromptType.query, "Local-query"), (PromptType.document, "Local")):
        found = Encoder(model).encode(inputs, prompt_type=side, **told)
        truth = model.embed(["the packed batch", "apart"], prompt)
        torch.testing.assert_close(torch.from_numpy(found), truth)


def test_documents_with_one_id_are_counted():
    from datasets import Dataset

    search = Search(Searcher(made(), None, (64,)), RetrievalOptions(), "twice", {})
    corpus = Dataset.from_list([{"id": "a", "title": "", "text": text} for text in ("one", "two")])
    search.index(corpus, task_metadata=task().metadata)
    assert search.given.documents == {"a": "one"}
    assert search.given.notes == ("documents with the id of another, left out: 1",)
    assert isinstance(search, mteb.models.SearchProtocol)
    with pytest.raises(ConfigError, match="sets that are searched are of type Retrieval"):
        search.search(corpus, task_metadata=task().metadata, top_k=5, top_ranked={"a": ["a"]})


def test_suites_are_those_of_the_papers():
    beir = tasks_of([], "beir")
    assert len(beir) == 15
    by, options = Searcher(made(), None, (64,)), RetrievalOptions()
    jobs = {job.name: job.group for task in beir for job in _jobs(task, by, options)}
    assert len(jobs) == 14 + 12, "CQADupstack is of twelve"
    assert jobs["CQADupstackUnixRetrieval"] == "CQADupstackRetrieval"
    assert {"SciFact", "MSMARCO"} <= jobs.keys()
    coir = tasks_of([], "coir")
    jobs = {job.name: job.group for task in coir for job in _jobs(task, by, options)}
    assert (len(coir), len(jobs)) == (10, 8 + 6 + 6)
    assert jobs["COIRCodeSearchNetRetrieval-go"] == "COIRCodeSearchNetRetrieval"
    (long,) = tasks_of([], "mldr")
    assert long.hf_subsets == ["en"]


def test_what_cannot_be_searched_is_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(ConfigError, match="mteb has no task 'SciFakt': did you mean SciFact"):
        tasks_of(["SciFakt"], None)
    with pytest.raises(ConfigError, match="STS12 is of mteb's type STS: sets that are searched"):
        tasks_of(["STS12"], None)
    with pytest.raises(ConfigError, match="no set is named: give --tasks, or --suite beir"):
        tasks_of([], None)
    made().save(tmp_path / "model")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"mteb cannot load SciFact \(.*\): it takes sets from the"):
        run(
            [
                *("evaluate", "mteb", str(tmp_path / "model")),
                *("--tasks", "SciFact", "--out", str(tmp_path / "out")),
            ]
        )
    assert "SciFact: mteb loads it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
