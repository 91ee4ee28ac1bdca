"""Folders of sentence-transformers opened here, and ours there: the same vectors and scores."""

import shutil

import pytest
import torch

import modernbert
from modernbert.batch import pack
from modernbert.model.config import HeadConfig
from tests.parity.lines import IS_VERSION_4
from tests.parity.tolerance import assert_as_accurate
from tests.sentence_folders import TEXTS, change, made, read, to_legacy, to_subfolder

# Theirs warn of their own renaming.
pytestmark = [
    pytest.mark.skipif(
        IS_VERSION_4, reason="says it as sentence-transformers 6 does: see test_older_libraries.py"
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
st = pytest.importorskip("sentence_transformers")

PROMPTS = {"query": "search the batch: ", "title": "every "}


def plain(modules):
    return modules(pooling_mode="mean")


def first_of_unit_length(modules):
    return [*modules(pooling_mode="cls"), modules.normalize()]


def projected(modules):
    dense = modules.dense(32, 12)
    return [*modules(pooling_mode="mean"), dense, modules.normalize()]


def twice_projected(modules):
    residual = modules.dense(24, 24, bias=False, activation=torch.nn.GELU(), use_residual=True)
    wider = modules.dense(96, 24, activation=torch.nn.Identity(), use_residual=True)
    return [*modules(pooling_mode=("cls", "max", "mean")), wider, residual]


def by_root(modules):
    return modules(pooling_mode="mean_sqrt_len_tokens")


def last(modules):
    return modules(pooling_mode="lasttoken")


def without_prompt(modules):
    return modules(pooling_mode="mean", include_prompt=False)


def tokens_projected(modules):
    before = modules.dense(32, 16, module_input_name="token_embeddings")
    body, pooling = modules(pooling_mode="mean", embedding_dimension=16)
    return [body, before, pooling]


CASES = (
    plain,
    first_of_unit_length,
    projected,
    twice_projected,
    by_root,
    last,
    without_prompt,
    tokens_projected,
)
# What older releases could not say.
NEW_ONLY = (twice_projected, tokens_projected)


class Modules:
    """Makes modules of theirs around one body."""

    def __init__(self, body: str) -> None:
        self.body = body

    def __call__(self, embedding_dimension=32, **pooling):
        from sentence_transformers.models import Pooling, Transformer

        body = Transformer(self.body)
        return [body, Pooling(embedding_dimension=embedding_dimension, **pooling)]

    def dense(self, in_features, out_features, activation=None, **more):
        from sentence_transformers.models import Dense

        activation = activation or torch.nn.Tanh()
        return Dense(in_features, out_features, activation_function=activation, **more)

    def normalize(self):
        from sentence_transformers.models import Normalize

        return Normalize()


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    folder = tmp_path_factory.mktemp("body")
    made().save(folder / "model")
    return str(folder / "model")


@pytest.fixture(scope="module")
def saved(body, tmp_path_factory):
    """Give each case's folder as theirs saves it, and its vectors in float32 and float64."""
    done = {}

    def of(case):
        if case not in done:
            torch.manual_seed(0)
            modules = case(Modules(body))
            model = st.SentenceTransformer(modules=modules, device="cpu", prompts=dict(PROMPTS))
            model.max_seq_length = 100
            folder = tmp_path_factory.mktemp(case.__name__) / "theirs"
            model.save_pretrained(str(folder))
            model = st.SentenceTransformer(str(folder), device="cpu")
            done[case] = folder, vectors(model), vectors(model.double())
        return done[case]

    return of


def vectors(model):
    """Vectors without a prompt, and behind one."""
    asked = {"batch_size": 5, "convert_to_tensor": True}
    return [model.encode(TEXTS, **asked), model.encode(TEXTS, prompt_name="query", **asked)]


def assert_same(folder, naive, truth):
    model = modernbert.load(folder)
    ours = [model.embed(TEXTS), model.embed(TEXTS, prompt="query")]
    for found, theirs, right in zip(ours, naive, truth, strict=True):
        assert right.norm(dim=1).min() > 0.1
        assert_as_accurate(found, theirs, right)
    assert not torch.allclose(ours[0], ours[1], atol=1e-3)
    return model, ours


@pytest.mark.parametrize("case", CASES)
def test_their_folder_gives_their_vectors_and_ours_gives_them_there(saved, case, tmp_path):
    folder, naive, truth = saved(case)
    model, ours = assert_same(folder, naive, truth)
    model.save(tmp_path / "ours")
    for expected, again in zip(ours, assert_same(tmp_path / "ours", naive, truth)[1], strict=True):
        assert torch.equal(again, expected)
    theirs = st.SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    assert theirs.max_seq_length == 100
    assert theirs.prompts == PROMPTS | {"document": ""}
    for found, expected in zip(vectors(theirs), naive, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", [case for case in CASES if case not in NEW_ONLY])
def test_folders_of_older_releases_give_the_same(saved, case, tmp_path):
    folder, naive, truth = saved(case)
    shutil.copytree(folder, tmp_path / "old")
    to_legacy(tmp_path / "old", 100)
    assert_same(tmp_path / "old", naive, truth)
    to_subfolder(tmp_path / "old")
    assert not (tmp_path / "old" / "config.json").exists()
    assert_same(tmp_path / "old", naive, truth)


def test_several_modes_of_the_old_keys_are_laid_side_by_side(saved, tmp_path):
    folder, _, _ = saved(plain)
    shutil.copytree(folder, tmp_path / "old")
    to_legacy(tmp_path / "old", 100)
    change(
        tmp_path / "old" / "1_Pooling" / "config.json",
        pooling_mode_max_tokens=True,
        pooling_mode_lasttoken=True,
    )
    theirs = st.SentenceTransformer(str(tmp_path / "old"), device="cpu")
    model, _ = assert_same(tmp_path / "old", vectors(theirs), vectors(theirs.double()))
    model.save(tmp_path / "ours")
    told = read(tmp_path / "ours" / "1_Pooling" / "config.json")
    assert "pooling_mode" not in told
    assert [key for key, value in told.items() if value is True and key != "include_prompt"] == [
        "pooling_mode_max_tokens",
        "pooling_mode_mean_tokens",
        "pooling_mode_lasttoken",
    ]


def test_lower_case_stays_lower_case(saved, tmp_path):
    folder, _, _ = saved(plain)
    shutil.copytree(folder, tmp_path / "lower")
    change(tmp_path / "lower" / "sentence_bert_config.json", do_lower_case=True)
    theirs = st.SentenceTransformer(str(tmp_path / "lower"), device="cpu")
    model, _ = assert_same(tmp_path / "lower", vectors(theirs), vectors(theirs.double()))
    assert torch.equal(model.embed(["ÜBER Text"]), model.embed(["über text"]))
    model.save(tmp_path / "ours")
    again = st.SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    assert_same(tmp_path / "ours", vectors(again), vectors(again.double()))
    assert torch.equal(modernbert.load(tmp_path / "ours").embed(["ÜB"]), model.embed(["üb"]))


def test_a_default_prompt_is_used(saved, tmp_path):
    folder, naive, _ = saved(plain)
    shutil.copytree(folder, tmp_path / "model")
    change(tmp_path / "model" / "config_sentence_transformers.json", default_prompt_name="query")
    model = modernbert.load(tmp_path / "model")
    torch.testing.assert_close(model.embed(TEXTS), naive[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.embed(TEXTS, prompt=""), naive[0], rtol=1e-4, atol=1e-5)
    model.save(tmp_path / "ours")
    theirs = st.SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    torch.testing.assert_close(vectors(theirs)[0], naive[1], rtol=1e-5, atol=1e-6)


def test_a_plain_model_is_pooled_alike_with_and_without_its_modules(tmp_path):
    """Theirs takes the mean where a folder does not say; ours writes it out."""
    for head in (None, HeadConfig(), HeadConfig(kind="tokens", labels=("a", "b"))):
        model = made(head=head)
        folder = tmp_path / (head.kind if head else "bare")
        model.save(folder)
        theirs = st.SentenceTransformer(str(folder), device="cpu")
        found = theirs.encode(TEXTS, convert_to_tensor=True)
        exact = theirs.double().encode(TEXTS, convert_to_tensor=True)
        assert_as_accurate(model.embed(TEXTS), found, exact)
        (folder / "modules.json").unlink(missing_ok=True)
        assert torch.equal(modernbert.load(folder).embed(TEXTS), model.embed(TEXTS))


@pytest.mark.parametrize("num_labels", [1, 3])
def test_a_cross_encoder_scores_alike_both_ways(num_labels, tmp_path):
    labels = tuple("abc"[:num_labels])
    head = HeadConfig(kind="sequence", labels=labels, pooling="cls", problem="regression")
    made(head=head).save(tmp_path / "ours")
    pairs = list(zip(TEXTS[:4], TEXTS[4:8], strict=True))
    model = st.CrossEncoder(str(tmp_path / "ours"), device="cpu")
    expected = model.predict(pairs, convert_to_tensor=True)
    model.save_pretrained(str(tmp_path / "theirs"))
    ours = modernbert.load(tmp_path / "theirs")
    logits = ours(pack([pair_ids(ours.tokenizer, *pair) for pair in pairs]))
    scores = logits[:, 0].sigmoid() if num_labels == 1 else logits
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)
    ours.save(tmp_path / "again")
    again = st.CrossEncoder(str(tmp_path / "again"), device="cpu")
    assert torch.equal(again.predict(pairs, convert_to_tensor=True), expected)


def pair_ids(tokenizer, one, other):
    first, second = tokenizer.encode(one).tolist(), tokenizer.encode(other).tolist()
    return [*first, *second[1:]]


def test_what_a_cross_encoder_does_to_scores_is_kept(tmp_path):
    made(head=HeadConfig(kind="sequence", labels=("score",), problem="regression")).save(tmp_path)
    pairs = [("a", "b"), ("the batch", "the token")]
    assert st.CrossEncoder(str(tmp_path), device="cpu").predict(pairs).max() <= 1
    name = "torch.nn.modules.linear.Identity"
    change(tmp_path / "config_sentence_transformers.json", activation_fn=name)
    expected = st.CrossEncoder(str(tmp_path), device="cpu").predict(pairs)
    modernbert.load(tmp_path).save(tmp_path / "again")
    again = st.CrossEncoder(str(tmp_path / "again"), device="cpu")
    assert (again.predict(pairs) == expected).all()
    (tmp_path / "again" / "config_sentence_transformers.json").unlink()
    assert modernbert.load(tmp_path / "again").sentence.config.score_activation == name


def test_a_special_token_spelled_out_in_a_text_stays_text(saved):
    """Theirs takes it for the token, so that any text can end itself."""
    folder, _, _ = saved(plain)
    theirs = st.SentenceTransformer(str(folder), device="cpu")
    model = modernbert.load(folder)
    for text in ("the batch", "[SEP]"):
        found = model.embed([text])
        alike = torch.allclose(found, theirs.encode([text], convert_to_tensor=True), atol=1e-4)
        assert alike == (text == "the batch")


@pytest.mark.parametrize(
    "settings", [{}, {"pooling_strategy": "sum", "activation_function": "log1p_relu"}]
)
def test_a_sparse_encoder_weighs_words_alike_both_ways(body, settings, tmp_path):
    from sentence_transformers.sparse_encoder.models import MLMTransformer, SpladePooling

    modules = [MLMTransformer(body), SpladePooling(**settings)]
    model = st.SparseEncoder(modules=modules, device="cpu")
    model.save_pretrained(str(tmp_path / "theirs"))
    naive = weights_of(model)
    ours = modernbert.load(tmp_path / "theirs")
    assert_as_accurate(ours.embed(TEXTS), naive, weights_of(model.double()))
    ours.save(tmp_path / "ours")
    again = modernbert.load(tmp_path / "ours")
    assert again.sentence.config == ours.sentence.config
    assert torch.equal(again.embed(TEXTS), ours.embed(TEXTS))
    theirs = st.SparseEncoder(str(tmp_path / "ours"), device="cpu")
    torch.testing.assert_close(weights_of(theirs), naive, rtol=1e-5, atol=1e-6)
    assert theirs.similarity_fn_name == "dot"


def weights_of(model):
    return model.encode(TEXTS, convert_to_tensor=True).to_dense()
