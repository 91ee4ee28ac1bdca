"""Folders of sentence-transformers 6 that give out a part of each vector: the same part here."""

import pytest

import modernbert
from modernbert.infer.facts import facts_of
from tests.parity.lines import IS_VERSION_4
from tests.parity.tolerance import assert_as_accurate
from tests.sentence_folders import TEXTS, change, made

pytestmark = [
    pytest.mark.skipif(IS_VERSION_4, reason="releases on transformers 4 do not read it"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
st = pytest.importorskip("sentence_transformers")


@pytest.mark.parametrize("number", [5, 1000])
def test_the_first_numbers_of_a_vector(number, tmp_path):
    made(head=None).save(tmp_path / "whole")
    theirs = st.SentenceTransformer(str(tmp_path / "whole"), device="cpu", truncate_dim=number)
    theirs.save_pretrained(str(tmp_path / "theirs"))
    check(st.SentenceTransformer, tmp_path)


@pytest.mark.parametrize("number", [3, 10_000])
def test_the_largest_weights_of_a_sparse_vector(number, tmp_path):
    from sentence_transformers.sparse_encoder.models import MLMTransformer, SpladePooling

    made().save(tmp_path / "plain")
    modules = [MLMTransformer(str(tmp_path / "plain")), SpladePooling()]
    theirs = st.SparseEncoder(modules=modules, device="cpu", max_active_dims=number)
    theirs.save_pretrained(str(tmp_path / "theirs"))
    check(st.SparseEncoder, tmp_path)
    ours = modernbert.load(tmp_path / "theirs").embed(TEXTS)
    assert (ours > 0).sum(1).max() <= number


def check(kind, folder):
    """Compare what they saved, and what we save of it, here and there."""
    naive = encoded(kind, folder / "theirs")
    exact = encoded(kind, folder / "theirs", is_exact=True)
    ours = modernbert.load(folder / "theirs")
    assert_as_accurate(ours.embed(TEXTS), naive, exact)
    ours.save(folder / "ours")
    assert_as_accurate(encoded(kind, folder / "ours"), naive, exact)
    assert modernbert.load(folder / "ours").sentence.config == ours.sentence.config


def encoded(kind, folder, *, is_exact=False):
    model = kind(str(folder), device="cpu")
    found = (model.double() if is_exact else model).encode(TEXTS, convert_to_tensor=True)
    return found.to_dense() if found.is_sparse else found


def test_tools_that_would_give_the_whole_vector_are_named(tmp_path):
    made(head=None).save(tmp_path)
    change(tmp_path / "config_sentence_transformers.json", truncate_dim=5)
    opens = {each.tool: each for each in facts_of(str(tmp_path)).opens}
    assert opens["sentence-transformers"].verdict == "yes"
    for tool in ("sentence-transformers <= 5.3, PyLate", "text-embeddings-inference", "vLLM"):
        assert opens[tool].verdict == "wrong"
        assert opens[tool].why == "it does not read truncate_dim, and gives whole vectors"
