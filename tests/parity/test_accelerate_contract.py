"""What an accelerated model keeps of what it was, and what it refuses."""

import copy
import pickle
import warnings

import pytest
import torch
from transformers import AutoModelForMaskedLM, BertConfig, BertModel, ModernBertConfig
from transformers import ModernBertModel as HFEncoder

import modernbert
from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.bridge import packed
from modernbert.model import folder
from tests.nets import SMALL, config_of, documents_of, lively
from tests.parity.lines import IS_VERSION_4
from tests.parity.test_accelerate import opened
from tests.parity.test_heads import HEADS, LENGTHS, saved
from tests.parity.test_transformers import grid_of
from tests.parity.tolerance import assert_as_accurate

pytestmark = pytest.mark.filterwarnings("ignore:transformers 4 cannot express")


@pytest.fixture
def masked(tmp_path):
    """A masked-LM model of transformers, and its folder."""
    folder.write(lively(config_of(num_layers=4)), tmp_path / "model")
    return AutoModelForMaskedLM.from_pretrained(tmp_path / "model").eval()


def given(side="right"):
    rows, mask = grid_of(documents_of(LENGTHS), side)
    return {"input_ids": rows, "attention_mask": mask}


@pytest.fixture
def body():
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "vocab_size": 96}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1}
    config = ModernBertConfig(**shape, **ids, sep_token_id=2, num_hidden_layers=3)
    return HFEncoder(config).eval()


def test_the_line_is_told_apart_by_what_it_computes():
    assert packed.IS_VERSION_4 == IS_VERSION_4


def test_padding_is_zero_and_all_states_are_given(body):
    """The last state is normed in transformers 5 and is not in 4: each keeps its meaning."""
    inputs = given("left")
    real = inputs["attention_mask"].bool()
    expected = body(**inputs, output_hidden_states=True)
    found = modernbert.accelerate(body)(**inputs, output_hidden_states=True)
    assert not found.last_hidden_state[~real].any()
    assert len(found.hidden_states) == len(expected.hidden_states) == 4
    for ours, theirs in zip(found.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(ours[real], theirs[real], rtol=1e-4, atol=1e-5)
    is_normed = torch.equal(found.hidden_states[-1], found.last_hidden_state)
    assert is_normed == (not IS_VERSION_4)


def test_tuples_are_given_where_they_are_asked_for(body, masked):
    inputs = given()
    for model in (body, masked):
        asked = {**inputs, "return_dict": False, "output_hidden_states": True}
        expected = modernbert.restore(model)(**asked)
        found = modernbert.accelerate(model)(**asked)
        assert type(found) is type(expected) is tuple
        assert len(found) == len(expected)


def test_hidden_words_that_nobody_reads_still_read(body):
    """So ColBERT expands a query: [MASK] behind the mask, whose vectors count."""
    inputs = given()
    inputs["input_ids"] = inputs["input_ids"][:, :60]
    inputs["attention_mask"] = inputs["attention_mask"][:, :60]
    expanded = inputs["attention_mask"] == 0
    inputs["input_ids"][expanded] = 4
    assert expanded.any()
    expected = body(**inputs).last_hidden_state
    found = modernbert.accelerate(body)(**inputs).last_hidden_state
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for attention in ("eager", "sdpa"):
        body.config._attn_implementation = attention
        wide = torch.full((1, 300), 4), torch.zeros(1, 300, dtype=torch.long)
        wide[1][0, :20] = 1  # most hidden positions have no token within their window
        found = modernbert.accelerate(body)(wide[0], attention_mask=wide[1]).last_hidden_state
        expected = modernbert.restore(body)(wide[0], attention_mask=wide[1]).last_hidden_state
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("labelled", [0, 5])
def test_sparse_prediction_scores_the_same_rows(masked, labelled):
    masked.sparse_prediction = True
    inputs = given()
    labels = torch.full_like(inputs["input_ids"], -100)
    labels[0, :labelled] = 7
    expected = masked(**inputs, labels=labels)
    found = modernbert.accelerate(masked)(**inputs, labels=labels)
    assert found.logits.shape == expected.logits.shape == (labelled, SMALL["vocab_size"])
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.loss, expected.loss, equal_nan=True, rtol=1e-4, atol=1e-5)


def test_nothing_is_compiled_unasked(masked, monkeypatch):
    """Transformers 4 compiles a model when Triton is there and the device is no CPU."""

    def compiled(*_, **__):
        raise AssertionError("something was compiled")

    for kind in {type(module) for module in masked.modules()}:
        for name in ("compiled_embeddings", "compiled_mlp", "compiled_head"):
            if name in vars(kind):
                monkeypatch.setattr(kind, name, compiled)
    masked.config.reference_compile = True
    modernbert.accelerate(masked)(**given())
    assert masked.config.reference_compile is True


@pytest.mark.skipif(not IS_VERSION_4, reason="only transformers 4 unpads outside its encoder")
def test_heads_that_unpad_are_refused(masked):
    masked.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ConfigError, match=r"opened with flash_attention_2, and under transf"):
        modernbert.accelerate(masked)
    masked.config._attn_implementation = "sdpa"
    cuts = {"cu_seqlens": torch.tensor([0, 9]), "max_seqlen": 9, "indices": torch.arange(9)}
    modernbert.accelerate(masked)
    with pytest.raises(ConfigError, match="an accelerated model has no cu_seqlens: leave it out"):
        masked(torch.tensor(documents_of([9])), **cuts)


def test_padding_where_a_classifier_reads_is_refused(tmp_path):
    saved(HEADS["sequence, cls"], tmp_path)
    model = modernbert.accelerate(opened(HEADS["sequence, cls"], tmp_path))
    with pytest.raises(ConfigError, match="row 0 begins with padding, and this classifier reads"):
        model(**given("left"))
    assert model(**given()).logits.shape == (len(LENGTHS), 3)


def test_a_row_without_a_token_is_left_zero(body):
    inputs = given()
    inputs["attention_mask"][1] = 0
    inputs["input_ids"][1] = SMALL["pad_id"]
    found = modernbert.accelerate(body)(**inputs).last_hidden_state
    assert not found[1].any()
    assert found[0].any()


def test_embedded_inputs_and_a_missing_mask(body):
    rows = torch.tensor(documents_of([40, 40]))
    expected = body(rows).last_hidden_state
    embedded = body.embeddings.tok_embeddings(rows)
    modernbert.accelerate(body)
    places = torch.arange(40)[None] + 3
    for found in (body(rows), body(inputs_embeds=embedded), body(rows, position_ids=places)):
        torch.testing.assert_close(found.last_hidden_state, expected, rtol=1e-4, atol=1e-5)


def test_only_this_object_changes_and_restore_undoes_it(body):
    other, inputs = copy.deepcopy(body), given()
    before = body(**inputs).last_hidden_state
    kinds = [type(module) for module in body.modules()]
    assert modernbert.accelerate(body) is body
    assert modernbert.accelerate(body) is body
    assert isinstance(body, HFEncoder)
    assert type(body) is not type(other) is HFEncoder
    assert modernbert.restore(body) is body
    assert [type(module) for module in body.modules()] == kinds
    assert vars(body).keys() == vars(other).keys()
    assert torch.equal(body(**inputs).last_hidden_state, before)


def test_what_is_saved_is_what_it_was(body, tmp_path):
    body.save_pretrained(tmp_path / "before")
    modernbert.accelerate(body).save_pretrained(tmp_path / "after")
    for name in ("config.json", "model.safetensors"):
        before, after = ((tmp_path / at / name).read_bytes() for at in ("before", "after"))
        assert before == after


def test_copies_and_pickles_stay_accelerated(body):
    inputs = given()
    expected = modernbert.accelerate(body)(**inputs).last_hidden_state
    for again in (copy.deepcopy(body), pickle.loads(pickle.dumps(body))):
        assert type(again) is type(body)
        assert torch.equal(again(**inputs).last_hidden_state, expected)


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_their_gradient_checkpointing_gives_the_same_gradients(masked, use_reentrant):
    modernbert.accelerate(masked).train()
    labels = given()["input_ids"]
    masked(**given(), labels=labels).loss.backward()
    plain = {name: weight.grad.clone() for name, weight in masked.named_parameters()}
    masked.zero_grad()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its name changes in transformers 6
        masked.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    seen = []
    masked.model.layers[1].attn.Wqkv.register_forward_hook(lambda *_: seen.append(1))
    masked(**given(), labels=labels).loss.backward()
    assert len(seen) == 2
    for name, weight in masked.named_parameters():
        assert torch.equal(weight.grad, plain[name]), name


def test_halves_are_at_least_as_accurate_as_theirs(masked):
    real = given()["attention_mask"].bool()
    truth = copy.deepcopy(masked).double()(**given()).logits[real]
    for dtype in (torch.bfloat16, torch.float16):
        theirs = copy.deepcopy(masked).to(dtype)
        naive = theirs(**given()).logits[real]
        ours = modernbert.accelerate(theirs)(**given()).logits[real]
        assert ours.dtype == dtype
        assert_as_accurate(ours, naive, truth)


def test_rows_packed_by_the_caller_are_refused_not_mixed(body):
    rows = torch.tensor(documents_of([40]))
    places = torch.cat([torch.arange(15), torch.arange(25)])[None]
    modernbert.accelerate(body)
    with pytest.raises(ConfigError, match="counts positions by itself: leave position_ids out"):
        body(rows, position_ids=places)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"attention_mask": torch.ones(1, 1, 9, 9)}, "takes masks of rows and positions"),
        ({"output_attentions": True}, "an accelerated model has no output_attentions: leave it"),
        ({"cu_seq_lens_q": torch.tensor([0, 9])}, "has no cu_seq_lens_q"),
        ({"sliding_window_mask": torch.ones(1, 9)}, "has no sliding_window_mask"),
        ({"inputs_embeds": torch.ones(1, 9, 32)}, "give exactly one of input_ids and"),
        ({"position_ids": torch.arange(7)[None]}, r"position_ids have shape \(1, 7\) and the"),
        ({"position_ids": torch.ones(1, 1, 9).long()}, r"position_ids have shape \(1, 1, 9\)"),
    ],
)
def test_what_cannot_be_done_exactly_is_refused(body, asked, message):
    modernbert.accelerate(body)
    with pytest.raises(ConfigError, match=message):
        body(torch.tensor(documents_of([9])), **asked)


def test_a_batch_without_values_is_refused(body):
    modernbert.accelerate(body)
    with pytest.raises(ConfigError, match="on torch's meta device, without values"):
        body.to("meta")(torch.tensor(documents_of([9])).to("meta"))


def test_dropout_inside_attention_is_refused_in_training_alone(body):
    body.config.attention_dropout = 0.1
    modernbert.accelerate(body).eval()(**given())
    with pytest.raises(ConfigError, match=r"attention_dropout is 0\.1, and an accelerated model"):
        body.train()(**given())


def test_other_models_are_refused_by_name(body):
    bert = BertModel(BertConfig(hidden_size=32, num_attention_heads=2, num_hidden_layers=1))
    for model, name in ((bert, "BertModel"), (torch.nn.Linear(2, 2), "Linear")):
        with pytest.raises(
            ConfigError, match=f"^{name} holds no ModernBERT of transformers, and nothing else"
        ):
            modernbert.accelerate(model)
    scaled = {"rope_type": "dynamic", "factor": 4.0}
    if IS_VERSION_4:
        body.config.rope_scaling = scaled
    else:
        body.config.rope_parameters["full_attention"] = scaled
    with pytest.raises(CheckpointError, match="rotary positions by 'dynamic'"):
        modernbert.accelerate(body)
    assert type(body) is HFEncoder
