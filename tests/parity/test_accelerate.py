"""A live model of transformers, accelerated, against itself before."""

import copy
import pickle
import warnings

import pytest
import torch
from transformers import AutoModelForMaskedLM, BertConfig, BertModel, ModernBertConfig
from transformers import ModernBertModel as HFEncoder

import modernbert
from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.model import folder
from tests.nets import config_of, documents_of, lively
from tests.parity.test_heads import HEADS, LENGTHS, SHAPES, THEIRS, saved
from tests.parity.test_transformers import grid_of
from tests.parity.tolerance import assert_as_accurate, distance

pytestmark = pytest.mark.filterwarnings("ignore:transformers 4 cannot express")


def run(model, head, side="right"):
    rows, mask = grid_of(documents_of(LENGTHS), side)
    if head.kind == "choice":
        rows, mask = rows[None], mask[None]
    found = model(rows, attention_mask=mask)
    if head.kind == "spans":
        scores = torch.stack([found.start_logits, found.end_logits], -1)[mask.bool()]
    else:
        scores = found.logits[mask.bool()] if head.kind == "tokens" else found.logits
    slopes = torch.randn(scores.shape, generator=torch.Generator().manual_seed(3))
    names, weights = zip(*model.named_parameters(), strict=True)
    grads = torch.autograd.grad((scores * slopes).sum(), weights)
    return {"scores": scores} | dict(zip(names, grads, strict=True))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_scores_and_gradients_stay(head, fields, side, tmp_path):
    if head.pooling == "cls" and head.kind == "sequence" and side == "left":
        pytest.skip("their position 0 is padding there: see the test of that fault")
    saved(head, tmp_path, **fields)
    theirs = THEIRS[head.kind].from_pretrained(tmp_path).eval()
    truth = run(copy.deepcopy(theirs).double(), head)
    naive = [run(theirs, head, each) for each in {"right", side}]
    ours = run(modernbert.accelerate(theirs), head, side)
    assert ours.keys() == truth.keys()
    for name, right in truth.items():
        # Either side is their plain computation: the worse one is what float32 may cost.
        worse = max((found[name] for found in naive), key=lambda x: distance(x, right))
        assert_as_accurate(ours[name], worse, right)
        assert distance(ours[name], right) < 1e-5 * right.norm().item() + 1e-7, name


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


def test_padding_is_zero_and_all_states_are_given(body):
    inputs = given("left")
    real = inputs["attention_mask"].bool()
    expected = body(**inputs, output_hidden_states=True)
    found = modernbert.accelerate(body)(**inputs, output_hidden_states=True)
    assert not found.last_hidden_state[~real].any()
    assert len(found.hidden_states) == len(expected.hidden_states) == 4
    for ours, theirs in zip(found.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(ours[real], theirs[real], rtol=1e-4, atol=1e-5)


def test_a_row_without_a_token_is_left_zero(body):
    inputs = given()
    inputs["attention_mask"][1] = 0
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
        ({"inputs_embeds": torch.ones(1, 9, 32)}, "give exactly one of input_ids and"),
    ],
)
def test_what_cannot_be_done_exactly_is_refused(body, asked, message):
    modernbert.accelerate(body)
    with pytest.raises(ConfigError, match=message):
        body(torch.tensor(documents_of([9])), **asked)


def test_dropout_inside_attention_is_refused_in_training_alone(body):
    body.config.attention_dropout = 0.1
    modernbert.accelerate(body).eval()(**given())
    with pytest.raises(ConfigError, match=r"attention_dropout is 0\.1, and an accelerated model"):
        body.train()(**given())


def test_other_models_are_refused_by_name(body):
    bert = BertModel(BertConfig(hidden_size=32, num_attention_heads=2, num_hidden_layers=1))
    for model, name in ((bert, "BertModel"), (torch.nn.Linear(2, 2), "Linear")):
        with pytest.raises(ConfigError, match=f"^{name} holds no ModernBERT, and nothing else"):
            modernbert.accelerate(model)
    body.config.rope_parameters["full_attention"] = {"rope_type": "dynamic", "factor": 4.0}
    with pytest.raises(CheckpointError, match="rotary positions by 'dynamic'"):
        modernbert.accelerate(body)
    assert type(body) is HFEncoder


def test_a_hook_that_would_not_be_called_is_refused(body):
    handle = body.layers[2].attn.register_forward_hook(lambda *_: None)
    with pytest.raises(ConfigError, match="ModernBertAttention of layer 2 has a forward hook"):
        modernbert.accelerate(body)
    handle.remove()
    seen = []
    body.layers[2].register_forward_hook(lambda *_: seen.append(1))
    modernbert.accelerate(body)(**given())
    assert seen == [1]
