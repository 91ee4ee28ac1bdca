"""Options of the shape compute what their papers say: compared with plain torch in float64."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from modernbert.base.device import Autocast
from modernbert.base.errors import CheckpointError, ConfigError, DataError
from modernbert.batch import pack, pad, split
from modernbert.infer.encode import encode, filled_up
from modernbert.infer.export.graph import Graph
from modernbert.kernels.scaling import RopeScaling
from modernbert.model import folder
from modernbert.model.config import MASKED_LM
from modernbert.model.count import forward_flops, parameters
from modernbert.model.expansion import encode_to
from modernbert.model.hf_config import from_hf, to_hf
from modernbert.model.init import build
from modernbert.model.traces import attention_maps, hidden_states
from tests.nets import batch_of, config_of, documents_of, lively

OPTIONS = {
    "no gate": {"gated_mlp": False},
    "no gate, biases": {"gated_mlp": False, "mlp_bias": True, "attention_bias": True},
    "learned positions": {"position": "learned", "max_length": 40},
    "RMSNorm": {"norm": "rms"},
    "QK-norm": {"qk_norm": True},
    "all": {
        "gated_mlp": False,
        "position": "learned",
        "max_length": 40,
        "norm": "rms",
        "qk_norm": True,
    },
    "SwiGLU": {"activation": "silu"},
}
FOREIGN = [name for name in OPTIONS if name != "SwiGLU"]
LENGTHS = [40, 3, 25]
ACTIVATIONS = {"gelu": F.gelu, "silu": F.silu}

each_option = pytest.mark.parametrize("name", OPTIONS)


def turned(x, theta):
    """Turn each pair (i, i + K/2) by its place; angles are in float32 whatever the model is in."""
    half = x.shape[-1] // 2
    turns = 1 / theta ** (torch.arange(0, 2 * half, 2, dtype=torch.float32) / (2 * half))
    angles = (torch.arange(len(x)).float()[:, None] * turns)[:, None]
    whole = torch.complex(angles.cos(), angles.sin())
    pairs = torch.complex(x[..., :half], x[..., half:]) * whole
    return torch.cat([pairs.real, pairs.imag], -1)


def activated(wide, config):
    act, half = ACTIVATIONS[config.activation], config.mlp_dim
    return act(wide[:, :half]) * wide[:, half:] if config.gated_mlp else act(wide)


def reference(model, ids):
    """Compute one document's logits by the formulas alone, from the model's weights."""
    config, weights = model.config, model.state_dict()
    length, heads, width = len(ids), config.num_heads, config.head_dim
    place = torch.arange(length)
    distance = (place[:, None] - place).abs()

    def sized(x, name):
        size = (x**2).mean(-1, keepdim=True)
        return x / torch.sqrt(size + config.norm_eps) * weights[f"{name}.weight"]

    def normed(x, name):
        return sized(x if config.norm == "rms" else x - x.mean(-1, keepdim=True), name)

    def product(x, name):
        bias = weights.get(f"{name}.bias", torch.zeros(1, dtype=x.dtype))
        return torch.einsum("ti,oi->to", x, weights[f"{name}.weight"]) + bias

    def attended(x, layer, index):
        q, k, v = product(x, f"{layer}.attn.Wqkv").view(length, 3, heads, width).unbind(1)
        if config.qk_norm:
            q, k = (sized(x, f"{layer}.attn.qk_norm.{n}") for x, n in ((q, "q"), (k, "k")))
        if config.position == "rotary":
            q, k = (turned(each, config.rope_at(index)[0]) for each in (q, k))
        scores = torch.einsum("ihk,jhk->hij", q, k) / math.sqrt(width)
        if (window := config.window_at(index)) is not None:
            scores = scores.masked_fill(distance > window // 2, -math.inf)
        mixed = torch.einsum("hij,jhk->ihk", scores.softmax(-1), v).reshape(length, -1)
        return product(mixed, f"{layer}.attn.Wo")

    x = weights["encoder.embeddings.tok_embeddings.weight"][ids]
    if config.position == "learned":
        x = x + weights["encoder.embeddings.position_embeddings.weight"][place]
    x = normed(x, "encoder.embeddings.norm")
    for index in range(config.num_layers):
        layer = f"encoder.layers.{index}"
        x = x + attended(normed(x, f"{layer}.attn_norm") if index else x, layer, index)
        wide = product(normed(x, f"{layer}.mlp_norm"), f"{layer}.mlp.Wi")
        x = x + product(activated(wide, config), f"{layer}.mlp.Wo")
    x = normed(x, "encoder.final_norm")
    x = normed(ACTIVATIONS[config.activation](product(x, "head.dense")), "head.norm")
    return product(x, "head.decoder")


def exact(name):
    return lively(config_of(**OPTIONS[name], local_window=8)).double()


def gradients(model, batch):
    places, targets = torch.tensor([0, 41, 60]), torch.tensor([5, 6, 7])
    loss, _ = model.masked_lm(batch, places, targets)
    return torch.autograd.grad(loss, list(model.parameters()))


@each_option
def test_an_option_is_its_formula(name):
    model, documents = exact(name), documents_of(LENGTHS)
    with torch.no_grad():
        found = split(model(pack(documents)), pack(documents).layout)
        for logits, ids in zip(found, documents, strict=True):
            assert_close(logits, reference(model, ids), rtol=1e-9, atol=1e-9)


@each_option
def test_its_gradients_are_those_of_the_formula(name):
    model, documents = exact(name), documents_of(LENGTHS)
    logits = torch.cat([reference_with_grad(model, ids) for ids in documents])
    places, targets = torch.tensor([0, 41, 60]), torch.tensor([5, 6, 7])
    loss = F.cross_entropy(logits[places], targets, reduction="sum")
    expected = torch.autograd.grad(loss, list(model.parameters()))
    for ours, theirs in zip(gradients(model, pack(documents)), expected, strict=True):
        assert theirs.abs().sum() > 0
        assert_close(ours, theirs, rtol=1e-7, atol=1e-9)


def reference_with_grad(model, ids):
    """Run the formulas on the parameters themselves."""
    kept = model.state_dict
    model.state_dict = lambda: dict(model.named_parameters(remove_duplicate=False))
    try:
        return reference(model, ids)
    finally:
        model.state_dict = kept


@each_option
def test_other_documents_in_the_row_change_nothing(name):
    model, documents = exact(name), documents_of(LENGTHS)
    with torch.no_grad():
        first, *_ = split(model(pack(documents)), pack(documents).layout)
        *_, last = split(model(pack(documents[::-1])), pack(documents[::-1]).layout)
        alone = model(pack(documents[:1]))
    assert_close(first, alone, rtol=1e-10, atol=1e-10)
    assert_close(last, alone, rtol=1e-10, atol=1e-10)


@each_option
def test_it_learns_in_bfloat16_too(name):
    model, batch = build(config_of(**OPTIONS[name]), 0), batch_of(LENGTHS)
    with Autocast(torch.device("cpu"), "bfloat16")():
        found = gradients(model, batch)
    pairs = zip(found, gradients(model, batch), strict=True)
    cosines = [F.cosine_similarity(a.flatten(), b.flatten(), 0) for a, b in pairs]
    assert min(cosines) > 0.98


@each_option
def test_its_weights_are_counted(name):
    config = config_of(**OPTIONS[name])
    assert parameters(config) == sum(weight.numel() for weight in build(config, 0).parameters())


def test_a_gate_costs_a_matrix():
    gated, plain = config_of(), config_of(gated_mlp=False)
    matrix = gated.num_layers * gated.dim * gated.mlp_dim
    assert parameters(gated) - parameters(plain) == matrix
    assert forward_flops(gated, 9) - forward_flops(plain, 9) == 2 * matrix


@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_of_it_is_read_again_and_refused_by_transformers(name, tmp_path):
    from transformers import AutoModel

    model = lively(config_of(**OPTIONS[name]))
    with pytest.warns(UserWarning, match="only this package opens the folder: no other tool knows"):
        folder.write(model, tmp_path)
    found = folder.read(tmp_path)
    assert found.config == model.config
    assert all(map(torch.equal, found.state_dict().values(), model.state_dict().values()))
    with pytest.raises(ValueError, match="model type `modernbert_variant`"):
        AutoModel.from_pretrained(tmp_path)


def test_a_plain_config_says_nothing_of_options():
    keys = to_hf(config_of(activation="silu"), dtype="float32", head=MASKED_LM)
    assert keys["model_type"] == "modernbert"
    assert "modernbert_options" not in keys


def keys_with(told):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keys = to_hf(config_of(gated_mlp=False), dtype="float32", head=MASKED_LM)
    return keys | {"modernbert_options": told}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"depth": 3}, "has the option 'depth', which this release does not know"),
        ({"gated_mlp": "no"}, "has gated_mlp 'no', which is no true or false"),
        ({"gated_mlp": None}, "has gated_mlp None: known are False, True"),
        ([], "has modernbert_options [], which is no object"),
    ],
)
def test_options_that_nobody_knows_are_refused(told, expected):
    with pytest.raises(CheckpointError) as caught:
        from_hf(keys_with(told))
    assert expected in str(caught.value)


def test_a_document_longer_than_the_learned_positions_is_refused():
    model = lively(config_of(position="learned", max_length=8))
    assert torch.isfinite(model(batch_of([8, 3]))).all()
    with pytest.raises(DataError) as caught:
        model(batch_of([3, 9]))
    assert str(caught.value) == (
        "a document has 9 tokens, the model has learned 8 positions: "
        "cut it, or split it into several"
    )


def test_learned_positions_are_as_many_in_every_phase():
    model = lively(config_of(position="learned", max_length=40)).eval()
    before = model(batch_of(LENGTHS))
    model.set_rope(global_theta=1e5, local_theta=1e4, max_length=16)
    assert model.config.max_length == 40
    assert torch.equal(model(batch_of(LENGTHS)), before)


@pytest.mark.parametrize(
    "fields", [{"max_length": 0}, {"global_rope_scaling": RopeScaling(kind="linear", factor=2.0)}]
)
def test_learned_positions_need_a_table_and_no_scaling(fields):
    with pytest.raises(ConfigError, match="position is learned and max_length"):
        config_of(position="learned", **fields)


def test_rms_norm_has_no_bias():
    with pytest.raises(ConfigError, match="RMSNorm has no bias, leave it out"):
        config_of(norm="rms", norm_bias=True)


@each_option
def test_what_looks_inside_layers_computes_the_same(name):
    encoder, batch = exact(name).encoder, batch_of(LENGTHS)
    with torch.no_grad():
        expected = encoder(batch)
        assert_close(hidden_states(encoder, batch)[-1], expected)
        readable = torch.ones(len(batch.ids), dtype=torch.bool)
        assert_close(encode_to(encoder, batch, readable), expected)
        maps = [*attention_maps(encoder, batch)]
    assert len(maps) == encoder.config.num_layers
    assert_close(maps[0][0].sum(-1), torch.ones(2, LENGTHS[0], dtype=torch.float64))


@each_option
@torch.no_grad()
def test_padding_for_round_sizes_fits_too(name):
    encoder = exact(name).encoder
    batch = batch_of([3, 2])
    given = filled_up(batch, min(3, encoder.config.num_positions or 3))
    assert_close(encoder(given)[:5], encoder(batch))
    assert_close(encode(encoder.float(), batch), encoder(batch))


@each_option
@torch.no_grad()
def test_a_graph_for_export_computes_the_same(name):
    model, documents = exact(name).eval(), documents_of(LENGTHS)
    batch = pack(documents)
    mask = pad(torch.ones_like(batch.ids), batch.layout)
    (logits,) = Graph(model)(pad(batch.ids, batch.layout), mask)
    assert_close(logits[mask != 0], model(batch))
