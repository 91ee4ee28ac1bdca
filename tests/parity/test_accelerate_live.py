"""Models that somebody changed after loading: accelerated as they are now, or refused."""

import copy
import inspect

import pytest
import torch
from torch import nn
from transformers import ModernBertForSequenceClassification as HFSequence
from transformers import ModernBertModel as HFEncoder
from transformers.models.modernbert.modeling_modernbert import ModernBertEncoderLayer
from transformers.utils.generic import find_labels

import modernbert
from modernbert.base.errors import ConfigError
from modernbert.model.config import MASKED_LM
from tests.nets import documents_of
from tests.parity.lines import IS_VERSION_4
from tests.parity.test_accelerate import opened
from tests.parity.test_heads import HEADS, LENGTHS, saved
from tests.parity.test_transformers import grid_of
from tests.parity.tolerance import distance

pytestmark = pytest.mark.filterwarnings("ignore:transformers 4 cannot express")


def model_of(kind, folder, **options):
    known = {head.kind: head for head in (MASKED_LM, *HEADS.values())}
    head = known.get(kind)
    saved(head, folder)
    return opened(head, folder, **options)


@pytest.fixture
def body(tmp_path):
    return model_of(None, tmp_path)


def given(side="right"):
    rows, mask = grid_of(documents_of(LENGTHS), side)
    return {"input_ids": rows, "attention_mask": mask}


def holed():
    """Rows whose padding lies in the middle too, wider than a local layer looks."""
    inputs = given()
    inputs["attention_mask"][:, 3:20] = 0
    inputs["input_ids"] = inputs["input_ids"].where(inputs["attention_mask"].bool(), 0)
    return inputs


def gradients(model, score):
    model.zero_grad()
    score.backward()
    return {
        name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None
    }


def assert_equal_gradients(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        assert distance(ours[name], expected) < 1e-5 * expected.norm() + 1e-6, name


@pytest.mark.parametrize("as_vectors", [False, True])
def test_a_window_counts_the_positions_of_a_gap(body, as_vectors):
    inputs = holed()
    real = inputs["attention_mask"].bool()
    if as_vectors:
        embedded = body.embeddings.tok_embeddings(inputs.pop("input_ids")).detach()
        inputs["inputs_embeds"] = embedded
    expected = body(**inputs).last_hidden_state
    wanted = gradients(body, expected[real].square().sum())
    found = modernbert.accelerate(body)(**inputs).last_hidden_state
    torch.testing.assert_close(found[real], expected[real], rtol=1e-4, atol=1e-5)
    assert not found[~real].any()
    assert_equal_gradients(gradients(body, found[real].square().sum()), wanted)


@pytest.mark.parametrize("kind", ["sequence", "tokens", "spans"])
def test_a_forward_method_is_asked_for_as_theirs(kind, tmp_path):
    """Trainers take the names of labels, and the columns of a dataset, from its arguments."""
    model = model_of(kind, tmp_path)
    names, labels = list(inspect.signature(model.forward).parameters), find_labels(type(model))
    inputs = given()
    plain = model(inputs["input_ids"], inputs["attention_mask"], None)
    modernbert.accelerate(model)
    assert list(inspect.signature(model.forward).parameters) == names
    assert find_labels(type(model)) == labels != []
    again = model(inputs["input_ids"], inputs["attention_mask"], None)
    assert again.keys() == plain.keys()


def scored(kind, inputs):
    state = torch.Generator().manual_seed(0)
    if kind == "spans":
        starts = torch.randint(0, 4, (len(inputs["input_ids"]),), generator=state)
        return {"start_positions": starts, "end_positions": starts + 1}
    shape = inputs["input_ids"].shape
    return {"labels": torch.randint(0, 2, shape, generator=state)}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", ["masked_lm", "tokens", "spans"])
def test_a_loss_over_padding_is_theirs(kind, side, attention, tmp_path):
    """Their span loss lets padding compete; the others score it where its label is not -100."""
    model = model_of(kind, tmp_path, attn_implementation=attention)
    inputs = given(side)
    inputs |= scored(kind, inputs)
    expected = model(**inputs).loss
    wanted = gradients(model, expected)
    found = modernbert.accelerate(model)(**inputs).loss
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert_equal_gradients(gradients(model, found), wanted)


def test_layers_that_were_taken_out_stay_out(tmp_path):
    saved(None, tmp_path, num_layers=5)
    body = opened(None, tmp_path)
    body.layers = nn.ModuleList([body.layers[0], body.layers[2], body.layers[3]])
    inputs = given()
    real = inputs["attention_mask"].bool()
    expected = body(**inputs).last_hidden_state[real]
    found = modernbert.accelerate(body)(**inputs).last_hidden_state[real]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


class OwnEncoder(HFEncoder):
    """Somebody's encoder."""


class OwnLayer(ModernBertEncoderLayer):
    """Somebody's layer."""


class OwnClassifier(HFSequence):
    """Somebody's classifier."""


def own_encoder(body):
    body.__class__ = OwnEncoder


def own_layer(body):
    body.layers[1].__class__ = OwnLayer


def own_method(body):
    body.layers[1].mlp.forward = lambda x: x


def own_activation(body):
    body.layers[1].mlp.act = nn.Tanh()


def own_angles(body):
    rotary = body.layers[0].attn.rotary_emb if IS_VERSION_4 else body.rotary_emb
    for name, buffer in rotary.named_buffers():
        if name.endswith("inv_freq"):
            buffer.mul_(0.5)


REFUSED = {
    own_encoder: "OwnEncoder is not transformers' own ModernBertModel, and its code would not run",
    own_layer: "OwnLayer is not transformers' own ModernBertEncoderLayer, and its code would not",
    own_method: "a ModernBertMLP of this model has a forward method of its own, which would not",
    own_activation: "names the activation 'gelu' and a layer has Tanh: name it in model.config",
    own_angles: "rotary frequencies of this model are not those of its config: say them in model",
}


@pytest.mark.parametrize(("change", "said"), REFUSED.items())
def test_what_was_changed_by_hand_is_refused_and_let_be(body, change, said):
    change(body)
    before = copy.copy(vars(body)), [type(each) for each in body.modules()]
    with pytest.raises(ConfigError, match=said):
        modernbert.accelerate(body)
    assert (vars(body), [type(each) for each in body.modules()]) == before


def test_a_classifier_of_ones_own_is_refused(tmp_path):
    model = model_of("sequence", tmp_path)
    model.__class__ = OwnClassifier
    with pytest.raises(ConfigError, match="OwnClassifier is not transformers' own ModernBertFor"):
        modernbert.accelerate(model)


def test_half_precision_is_no_change_by_hand(body):
    modernbert.accelerate(body.half())
    modernbert.accelerate(modernbert.restore(body).bfloat16())


@pytest.mark.parametrize("is_before", [True, False])
def test_hooks_on_parts_of_a_layer_are_called(body, is_before):
    called = []

    def hook():
        for part in (body.layers[1].attn, body.layers[1].mlp):
            part.register_forward_hook(lambda *_: called.append("forward"))
            part.register_full_backward_hook(lambda *_: called.append("backward"))

    if is_before:
        hook()
    modernbert.accelerate(body)
    if not is_before:
        hook()
    body(**given()).last_hidden_state.sum().backward()
    assert sorted(called) == ["backward"] * 2 + ["forward"] * 2


def test_what_a_hook_keeps_is_not_written_over(body):
    kept = []
    projection = body.layers[1].attn.Wqkv
    projection.register_forward_hook(lambda _, x, out: kept.append((x[0], out)))
    with torch.no_grad():
        modernbert.accelerate(body)(**given())
    ((x, out),) = kept
    torch.testing.assert_close(out, nn.functional.linear(x, projection.weight))


def test_what_is_no_module_is_refused(body):
    class Pipeline:
        model = body

    for given_, said in (
        (Pipeline(), "a Pipeline is no torch module: give the model itself, of a pipeline its"),
        (None, "a NoneType is no torch module: give the model itself"),
        (HFEncoder, "the class ModernBertModel is no torch module: give the model itself"),
    ):
        for change in (modernbert.accelerate, modernbert.restore):
            with pytest.raises(ConfigError, match=said):
                change(given_)


def test_batches_without_a_shape_are_refused(body):
    modernbert.accelerate(body)
    for shape in ((0, 5), (2, 0), (5,)):
        with pytest.raises(ConfigError, match="give rows and positions, one or more"):
            body(torch.zeros(shape, dtype=torch.long))
    ids = torch.tensor(documents_of([9, 9]))
    with pytest.raises(ConfigError, match=r"the mask has shape \(1, 9\) and the batch \(2, 9\)"):
        body(ids, attention_mask=torch.ones(1, 9))
