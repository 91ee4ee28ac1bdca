"""Trainings of a small model, whole and stopped."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import modernbert
from modernbert.base.errors import CheckpointError, ConfigError, DataError, TrainingError
from modernbert.data.judged import JudgedSet
from modernbert.data.tokenizer import Tokenizer
from modernbert.infer.classify import label_scores
from modernbert.retrieval.exact import search
from modernbert.retrieval.training.config import RetrieverConfig, Start
from modernbert.retrieval.training.examples import follows_cosines
from modernbert.retrieval.training.job import create, reopen
from modernbert.retrieval.training.measures import agreeing, searching
from modernbert.retrieval.training.train import resume, train
from tests.judged_sets import write_set
from tests.pairs import rows, small_training, write_rows
from tests.runs import interrupt_after, rows_of, untrained

KINDS = ("dense", "colbert", "sparse", "rerank")
TEXTS = ["the packed batch", "every token keeps its place, apart", "a"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("plain") / "model")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("pairs") / "pairs.jsonl", rows(26))


@pytest.fixture(scope="module")
def trained(plain, pairs, tmp_path_factory):
    """One training of each kind, made when it is asked for."""
    made: dict[str, Path] = {}

    def of(kind):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("trained") / kind
            train(Start(kind, str(plain)), small_training(pairs), made[kind])
        return made[kind]

    return of


def test_a_reranker_learns_at_a_quarter_of_the_usual_rate(plain, pairs, tmp_path):
    dense, rerank = (
        create(Start(kind, str(plain)), small_training(pairs, lr=0.0), tmp_path / kind).config.lr
        for kind in ("dense", "rerank")
    )
    assert rerank == pytest.approx(dense / 4)


@pytest.mark.parametrize(
    ("kind", "teacher", "scale"),
    [("colbert", 0.3, 32.0), ("colbert", 3.0, 0.0), ("dense", 0.3, 20.0), ("dense", 3.0, 0.0)],
)
def test_cosines_are_brought_to_the_size_of_the_model_s_own_scores(
    plain, tmp_path, capsys, kind, teacher, scale
):
    many = [row | {"scores": [teacher, 0.1]} for row in rows(20, negatives=1)]
    path = write_rows(tmp_path / "pairs.jsonl", many)
    config = create(Start(kind, str(plain)), small_training(path), tmp_path / "out").config
    assert config.score_scale == scale
    assert ("the scores are cosines: " in capsys.readouterr().err) == bool(scale)


def test_a_model_that_is_its_own_teacher_has_nothing_to_learn(plain, tmp_path):
    teacher = modernbert.load(plain)
    pairs = [
        (f"where is place {n}", f"this is place {n}", f"place {n + 1} is it") for n in range(24)
    ]
    vectors = [teacher.embed(texts) for texts in zip(*pairs, strict=True)]
    query, *documents = (torch.nn.functional.normalize(each) for each in vectors)
    scores = torch.stack([(query * each).sum(1) for each in documents], 1)
    scored = [
        {"query": q, "positive": p, "negative": n, "scores": s}
        for (q, p, n), s in zip(pairs, scores.tolist(), strict=True)
    ]
    path = write_rows(tmp_path / "pairs.jsonl", scored)
    learned = create(Start("dense", str(plain)), small_training(path), tmp_path / "read").learned
    assert [follows_cosines(learned, "margin-mse", scale) for scale in (0, 1, 20)] == [
        True,
        True,
        False,
    ]
    assert not follows_cosines(learned, "contrastive", 0)
    norms = {}
    for loss, scale in (("kl", 0.0), ("margin-mse", 0.0), ("kl", 1.0)):
        out = tmp_path / f"{loss}-{scale}"
        train(Start("dense", str(plain)), small_training(path, loss=loss, score_scale=scale), out)
        norms[loss, scale] = rows_of(out / "metrics.jsonl")[0]["grad_norm"]
    # What is right already has no gradient; cosines as they are would teach smaller differences.
    assert max(norms["kl", 0.0], norms["margin-mse", 0.0]) < 1e-3 < norms["kl", 1.0]


def test_sparse_vectors_follow_no_cosines(plain, tmp_path, capsys):
    many = [row | {"scores": [0.3, 0.1]} for row in rows(20, negatives=1)]
    path = write_rows(tmp_path / "pairs.jsonl", many)
    begun = create(Start("sparse", str(plain)), small_training(path), tmp_path / "auto")
    assert begun.config.loss == "contrastive"
    assert "which products of sparse vectors are far from: passed over" in capsys.readouterr().err
    asked = small_training(path, loss="margin-mse")
    with pytest.raises(ConfigError, match="margin-mse of sparse has products of any size follow"):
        create(Start("sparse", str(plain)), asked, tmp_path / "asked")
    scaled = small_training(path, loss="margin-mse", score_scale=50.0)
    assert create(Start("sparse", str(plain)), scaled, tmp_path / "out").config.score_scale == 50


def test_a_batch_that_nobody_asked_for_is_as_large_as_can_be(plain, tmp_path, capsys):
    many = [row | {"positive": f"this is place {n // 2}"} for n, row in enumerate(rows(12))]
    path = write_rows(tmp_path / "pairs.jsonl", many)
    begun = create(Start("dense", str(plain)), small_training(path, batch_size=0), tmp_path / "out")
    assert begun.config.batch_size == 3
    assert "6 pairs at most are of different texts: 3 a step" in capsys.readouterr().err


def test_what_is_measured_on_is_read_whole(plain, tmp_path):
    path = write_rows(tmp_path / "pairs.jsonl", rows(40))
    dev = write_rows(tmp_path / "dev.jsonl", rows(30))
    few = small_training(path, dev=str(dev), max_pairs=10)
    begun = create(Start("dense", str(plain)), few, tmp_path / "file")
    assert (len(begun.learned.pairs), len(begun.measured.pairs)) == (10, 30)
    folder = write_set(tmp_path / "set")
    for part in ("train", "dev"):
        (folder / "qrels" / f"{part}.tsv").write_bytes((folder / "qrels" / "test.tsv").read_bytes())
    few = small_training(folder, batch_size=2)
    begun = create(Start("dense", str(plain)), few, tmp_path / "beir")
    assert begun.measured.fingerprint == begun.learned.fingerprint


def test_a_model_that_became_worse_is_not_praised(plain, pairs, tmp_path, capsys):
    folder = train(Start("dense", str(plain)), small_training(pairs, lr=10.0), tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["best"]["ndcg@10"] < summary["before"]["ndcg@10"]
    assert (
        "before training: the model is worse than the one it began from" in capsys.readouterr().err
    )
    assert "ndcg@10 before training" in (folder / "README.md").read_text()


@pytest.mark.slow
def test_sparse_vectors_are_measured_in_float32(plain, pairs, tmp_path):
    config = small_training(pairs, precision="bfloat16", epochs=1)
    assert train(Start("sparse", str(plain)), config, tmp_path / "out") is not None


def test_a_reranker_reads_the_texts_of_some_queries_only(capsys):
    names = [str(number) for number in range(400)]
    texts = {name: f"place {name}" for name in names}
    judged = JudgedSet("many", dict(texts), dict(texts), {name: {name: 1} for name in names}, ())
    asked = []

    class Orders:
        model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *_, **__: None)

        def predict(self, pairs, **_):
            asked.append({query for query, _ in pairs})
            return np.array([float(query == text) for query, text in pairs])

    found = searching("rerank", judged, seed=3)(Orders())
    assert found["mrr@10"] == 1.0
    assert len(set.union(*asked)) == 300
    assert "measured on 300 of 400 queries, 50 texts of each" in capsys.readouterr().err
    again = searching("rerank", judged, seed=3)
    before = set.union(*asked)
    asked.clear()
    again(Orders())
    assert set.union(*asked) == before


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_leaves_its_best_model_and_what_it_measured(trained, kind):
    folder = trained(kind)
    steps, measured = rows_of(folder / "metrics.jsonl"), rows_of(folder / "evaluations.jsonl")
    assert [row["step"] for row in steps] == list(range(1, len(steps) + 1))
    assert all(np.isfinite(row["loss"]) for row in steps)
    assert [row["step"] for row in measured] == [0, len(steps) // 2, len(steps)]
    best = max(measured[1:], key=lambda row: row["ndcg@10"])
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["best"]["ndcg@10"] == best["ndcg@10"]
    assert not (folder / "checkpoints").exists()
    card = (folder / "model" / "README.md").read_text()
    assert f"modernbert train-retriever {kind}" in card


@pytest.mark.slow
def test_dense_vectors_are_those_of_sentence_transformers(trained):
    from sentence_transformers import SentenceTransformer

    folder = trained("dense") / "model"
    theirs = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(modernbert.load(folder).embed(TEXTS).numpy(), theirs, atol=1e-5)


@pytest.mark.slow
def test_sparse_vectors_are_those_of_sentence_transformers(trained):
    from sentence_transformers import SparseEncoder

    folder = trained("sparse") / "model"
    theirs = SparseEncoder(str(folder), device="cpu").encode_query(TEXTS).to_dense()
    np.testing.assert_allclose(modernbert.load(folder).embed(TEXTS), theirs, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("is_query", [True, False])
def test_token_vectors_are_those_of_sentence_transformers(trained, is_query):
    from sentence_transformers import MultiVectorEncoder

    folder = trained("colbert") / "model"
    model = MultiVectorEncoder(str(folder), device="cpu")
    theirs = (model.encode_query if is_query else model.encode_document)(TEXTS)
    for one, other in zip(
        modernbert.load(folder).token_vectors(TEXTS, is_query=is_query), theirs, strict=True
    ):
        np.testing.assert_allclose(one, np.asarray(other), atol=1e-5)
        assert one.shape[1] == 128
    tokens = Tokenizer.load(folder)
    assert tokens.is_added("[Q] ")
    assert tokens.is_added("[D] ")


@pytest.mark.slow
def test_scores_of_a_reranker_are_those_of_sentence_transformers(trained):
    from sentence_transformers import CrossEncoder

    folder = trained("rerank") / "model"
    asked = [("the batch", text) for text in TEXTS]
    theirs = CrossEncoder(str(folder), device="cpu").predict(asked)
    ours = label_scores(modernbert.load(folder), asked)[:, 0].sigmoid()
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_training_ends_as_one_that_went_through(trained, plain, pairs, tmp_path, kind):
    whole, stopped = trained(kind), tmp_path / "stopped"
    interrupt_after(stopped, 2)
    ended = train(Start(kind, str(plain)), small_training(pairs), stopped)
    assert ended is None
    assert 2 <= len(rows_of(stopped / "metrics.jsonl")) < 6
    assert resume(stopped) == stopped / "model"
    assert outcome(stopped) == outcome(whole)
    assert resume(stopped) == stopped / "model"  # nothing is left to do


def outcome(folder):
    steps = [{**row, "seconds": 0} for row in rows_of(folder / "metrics.jsonl")]
    weights = (folder / "model" / "model.safetensors").read_bytes()
    return steps, rows_of(folder / "evaluations.jsonl"), weights


@pytest.mark.slow
def test_a_checkpoint_that_is_not_whole_is_passed_over(trained, plain, pairs, tmp_path):
    stopped = tmp_path / "stopped"
    interrupt_after(stopped, 4)
    assert train(Start("dense", str(plain)), small_training(pairs), stopped) is None
    for mark in (stopped / "checkpoints").glob("*/whole.json"):
        mark.unlink()
    resume(stopped)
    assert outcome(stopped) == outcome(trained("dense"))


@pytest.mark.slow
def test_saving_changes_no_number(trained, plain, pairs, tmp_path, monkeypatch):
    from modernbert.retrieval.training import watcher

    monkeypatch.setattr(watcher, "SAVE_SECONDS", 0.0)
    folder = tmp_path / "out"
    assert train(Start("dense", str(plain)), small_training(pairs), folder)
    assert outcome(folder) == outcome(trained("dense"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "scores", "loss"),
    [
        ("dense", "teacher", "kl"),
        ("dense", "teacher", "margin-mse"),
        ("dense", "labels", "cosent"),
        ("colbert", "teacher", "kl"),
        ("colbert", "teacher", "margin-mse"),
        ("sparse", "teacher", "margin-mse"),
        ("sparse", "teacher", "kl"),
        ("sparse", "labels", "cosent"),
        ("rerank", "", "bce"),
        ("rerank", "", "lambda"),
        ("rerank", "teacher", "listwise"),
        ("rerank", "teacher", "margin-mse"),
        ("rerank", "teacher", "mse"),
        ("rerank", "labels", "bce"),
    ],
)
def test_every_loss_learns(plain, tmp_path, kind, scores, loss):
    many = rows(12, 0 if scores == "labels" else 2, scores)
    path = write_rows(tmp_path / "pairs.jsonl", many)
    config = small_training(path, loss=loss, epochs=1, evaluations=1)
    folder = tmp_path / "out"
    if scores == "labels":
        config = small_training(path, loss=loss, epochs=1, evaluations=1, dev=str(path))
    train(Start(kind, str(plain)), config, folder)
    (*_, last) = rows_of(folder / "evaluations.jsonl")
    assert ("spearman" if scores == "labels" else "ndcg@10") in last


@pytest.mark.slow
def test_a_batch_in_parts_learns_as_a_whole_one(plain, pairs, tmp_path):
    ended = []
    for size in (3, 8):
        folder = tmp_path / f"{size}"
        train(Start("dense", str(plain)), small_training(pairs, mini_batch=size), folder)
        ended.append([row["loss"] for row in rows_of(folder / "metrics.jsonl")])
    np.testing.assert_allclose(*ended, rtol=1e-3)


@pytest.mark.slow
def test_prompts_and_widths_are_learned_and_written(plain, pairs, tmp_path):
    config = small_training(
        pairs,
        query_prompt="query: ",
        document_prompt="passage: ",
        matryoshka=(16, 8),
        max_length=24,
        epochs=1,
    )
    folder = train(Start("dense", str(plain)), config, tmp_path / "out")
    model = modernbert.load(folder)
    sentence = model.sentence.config
    assert dict(sentence.prompts) == {"query": "query: ", "document": "passage: "}
    assert sentence.max_length == 24
    whole = model.embed([f"query: {TEXTS[0]}"], "")
    np.testing.assert_allclose(model.embed(TEXTS[:1], "query"), whole, atol=1e-6)
    # A trained model is gone on with as it is.
    again = train(Start("dense", str(folder)), small_training(pairs, epochs=1), tmp_path / "again")
    assert dict(modernbert.load(again).sentence.config.prompts) == dict(sentence.prompts)


@pytest.mark.slow
def test_a_late_model_is_gone_on_with(trained, pairs, tmp_path):
    start = trained("colbert") / "model"
    config = small_training(pairs, epochs=1, query_length=12, query_prompt="q ")
    folder = train(Start("colbert", str(start)), config, tmp_path / "out")
    before, after = (modernbert.load(place) for place in (start, folder))
    assert after.config.vocab_size == before.config.vocab_size
    late = after.sentence.config.late
    assert (late.query_length, late.expansion.length) == (12, 12)
    assert after.sentence.config.prompts["query"] == "[Q] q "


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "rerank"])
def test_a_judged_set_is_measured_on(plain, pairs, tmp_path, kind):
    folder = write_set(tmp_path / "set")
    config = small_training(pairs, epochs=1, evaluations=1, evaluate=str(folder))
    model = train(Start(kind, str(plain)), config, tmp_path / "out")
    (*_, last) = rows_of(tmp_path / "out" / "evaluations.jsonl")
    assert 0 <= last["ndcg@10"] <= 1
    assert model == tmp_path / "out" / "model"


@pytest.mark.slow
def test_measures_are_those_of_this_package(trained, pairs):
    """What was measured while training is what our own search finds."""
    from modernbert.data.pairs import PairOptions, held_out, read_pairs, to_judged

    learned, measured = held_out(read_pairs(pairs, PairOptions()), 12)
    judged = to_judged(measured, learned)
    folder = trained("dense")
    names = list(judged.documents)
    found = search(
        modernbert.load(folder / "model"),
        list(judged.queries.values()),
        list(judged.documents.values()),
        10,
    )
    ranks = [
        next((n for n, d in enumerate(hits.numbers, 1) if names[d] in judged.judged[query]), 0)
        for query, hits in zip(judged.queries, found, strict=True)
    ]
    ours = np.mean([1 / rank if rank else 0 for rank in ranks])
    told = json.loads((folder / "summary.json").read_text())
    assert told["best"]["mrr@10"] == pytest.approx(ours)


def test_a_folder_that_holds_something_is_refused(plain, pairs, tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(ConfigError, match="is not empty: give another folder for the run"):
        train(Start("dense", str(plain)), small_training(pairs), tmp_path)


def test_a_folder_of_a_run_is_gone_on_with(plain, pairs, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"with `modernbert train-retriever --resume \S+`, or"):
        train(Start("dense", str(plain)), small_training(pairs), tmp_path)


@pytest.mark.slow
def test_a_run_that_was_killed_at_its_begin_is_begun_again(plain, pairs, tmp_path):
    asked, out = (Start("dense", str(plain)), small_training(pairs, epochs=1)), tmp_path / "out"
    job = create(*asked, out)
    (out / "run.json").unlink()
    (out / ".partial-run.json").touch()
    other = small_training(pairs, epochs=1)
    with pytest.raises(ConfigError, match="is not empty: give another folder for the run"):
        train(Start("colbert", str(plain)), other, out)  # a start that is not its own
    assert (job.folder / "start").exists()
    assert train(*asked, out) == out / "model"


@pytest.mark.slow
@pytest.mark.parametrize("is_new", [True, False])
def test_a_run_that_fails_before_it_saved_leaves_nothing(plain, pairs, tmp_path, is_new):
    out = tmp_path / "out"
    if not is_new:
        out.mkdir()
    for wrong in ({"lr": 1e30}, {"temperature": 1e-30}):
        with pytest.raises(TrainingError, match=r"any more: lower --lr or raise --temperature$"):
            train(Start("dense", str(plain)), small_training(pairs, **wrong), out)
        assert (not out.exists()) if is_new else (not [*out.iterdir()])


def test_two_sets_to_measure_on_are_refused(plain, pairs, tmp_path):
    config = small_training(pairs, dev=str(pairs), evaluate=str(tmp_path))
    with pytest.raises(ConfigError, match="--dev and --evaluate both say what is measured on"):
        train(Start("dense", str(plain)), config, tmp_path / "out")


@pytest.mark.parametrize("name", ["lr", "temperature", "weight_decay", "query_regularizer"])
def test_numbers_that_are_none_are_refused(name):
    with pytest.raises(ConfigError, match=f"{name} is nan: give 0 or more"):
        RetrieverConfig(**{name: float("nan")})
    with pytest.raises(ConfigError, match="warmup is nan: give a share of the steps"):
        RetrieverConfig(warmup=float("nan"))


def test_a_single_pair_is_refused(plain, tmp_path):
    path = write_rows(tmp_path / "pairs.jsonl", rows(2))
    with pytest.raises(DataError, match="leaves 1 pair to learn from: give 2 or more"):
        train(Start("dense", str(plain)), small_training(path), tmp_path / "out")


@pytest.mark.parametrize("kind", ["dense", "rerank"])
def test_scores_without_an_order_are_refused(plain, tmp_path, kind):
    def asked(many, **fields):
        config = small_training(write_rows(tmp_path / "pairs.jsonl", many), **fields)
        return Start(kind, str(plain)), config, tmp_path / "out"

    many = rows(14, scores="labels")
    same = [{**row, "label": 1} for row in many]
    with pytest.raises(DataError, match="gives every pair the score 1, which teaches no order"):
        train(*asked(same))
    with pytest.raises(DataError, match=r"leaves 1 scored pairs to measure on, with 1 different"):
        train(*asked(many))
    dev = write_rows(tmp_path / "dev.jsonl", same)
    with pytest.raises(DataError, match=r"dev\.jsonl leaves 14 scored pairs .* with 1 different"):
        train(*asked(many, dev=str(dev)))
    assert not (tmp_path / "out").exists()


def test_scores_of_pairs_do_not_measure_a_late_model(plain, pairs, tmp_path):
    dev = write_rows(tmp_path / "dev.jsonl", rows(4, scores="labels"))
    with pytest.raises(ConfigError, match="and colbert is measured by what it finds: give --dev"):
        train(Start("colbert", str(plain)), small_training(pairs, dev=str(dev)), tmp_path / "out")


@pytest.mark.parametrize("kind", ["dense", "rerank"])
@pytest.mark.parametrize("judgement", [("q1", "d1", "0"), ("q1", "gone", "1")])
def test_a_set_in_which_nothing_answers_is_refused(plain, pairs, tmp_path, kind, judgement):
    folder = write_set(tmp_path / "set", judgements=[judgement])
    config = small_training(pairs, evaluate=str(folder))
    with pytest.raises(DataError, match="set: no judged query has an answer in the corpus, so"):
        train(Start(kind, str(plain)), config, tmp_path / "out")


@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning")
def test_a_model_that_gives_all_pairs_one_score_follows_none():
    from modernbert.data.pairs import Pair

    class Flat:
        model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *_, **__: None)

        def predict(self, sentences, **_):
            return np.zeros(len(sentences))

    pairs = [Pair("a", "b", scores=(0.0,)), Pair("c", "d", scores=(1.0,))]
    assert agreeing("rerank", pairs)(Flat()) == {"spearman": 0.0}


def test_lengths_beyond_the_model_are_refused(plain, pairs, tmp_path):
    with pytest.raises(ConfigError, match="max_length is 999, and the model reads 64 tokens"):
        train(Start("dense", str(plain)), small_training(pairs, max_length=999), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_widths_beyond_the_model_are_refused(plain, pairs, tmp_path):
    config = small_training(pairs, matryoshka=(999,))
    with pytest.raises(ConfigError, match="matryoshka names the width 999: give widths below"):
        train(Start("dense", str(plain)), config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sparse_model_needs_its_head(plain, pairs, tmp_path):
    opened = modernbert.load(plain)
    opened.model.head = None
    opened.save(tmp_path / "bare")
    with pytest.raises(ConfigError, match="weighs words by its masked-LM head, and this model has"):
        train(Start("sparse", str(tmp_path / "bare")), small_training(pairs), tmp_path / "out")


def test_folders_of_something_else_cannot_be_gone_on_with(tmp_path):
    with pytest.raises(CheckpointError, match="holds no run"):
        resume(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 1, "start": {"task": "classify"}}')
    with pytest.raises(CheckpointError, match="holds no training of a retriever: give the folder"):
        resume(tmp_path)


@pytest.mark.slow
def test_other_pairs_are_refused_when_going_on(plain, tmp_path):
    path = write_rows(tmp_path / "pairs.jsonl", rows(26))
    folder = tmp_path / "out"
    interrupt_after(folder, 1)
    assert train(Start("dense", str(plain)), small_training(path), folder) is None
    shutil.copy(path, tmp_path / "kept.jsonl")
    write_rows(path, rows(25))
    with pytest.raises(DataError, match=r"the pairs are not those that .* began with"):
        resume(folder)


def test_another_file_to_measure_on_is_refused_when_going_on(plain, pairs, tmp_path):
    dev = write_rows(tmp_path / "dev.jsonl", rows(4))
    create(Start("dense", str(plain)), small_training(pairs, dev=str(dev)), tmp_path / "out")
    write_rows(dev, rows(5))
    with pytest.raises(DataError, match=r"what \S+out measures its model on is not what it beg"):
        reopen(tmp_path / "out")
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    del told["measured_fingerprint"]  # as an older version wrote it
    (tmp_path / "out" / "run.json").write_text(json.dumps(told))
    assert len(reopen(tmp_path / "out").measured.pairs) == 5


@pytest.mark.slow
def test_texts_that_come_again_end_a_training_all_the_same(plain, tmp_path):
    again = [
        {**row, **({"positive": "one answer"} if n < 18 else {})} for n, row in enumerate(rows(30))
    ]
    pairs = write_rows(tmp_path / "pairs.jsonl", again)
    folder = train(Start("dense", str(plain)), small_training(pairs), tmp_path / "out")
    assert folder == tmp_path / "out" / "model"
    steps = rows_of(tmp_path / "out" / "metrics.jsonl")
    measured = rows_of(tmp_path / "out" / "evaluations.jsonl")
    assert measured[-1]["step"] == len(steps)


def test_pairs_that_fill_no_batch_are_refused(plain, tmp_path, capsys):
    same = [{**row, "positive": "one answer to all"} for row in rows(30)]
    pairs = write_rows(tmp_path / "pairs.jsonl", same)
    with pytest.raises(ConfigError, match="no 8 pairs are all of different texts, and no batch"):
        train(Start("dense", str(plain)), small_training(pairs), tmp_path / "out")
    assert "before training" not in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
