"""Stretched rotary positions against transformers': frequencies bit by bit, logits, config.json."""

import json

import pytest
import torch
from transformers import AutoModelForMaskedLM, ModernBertConfig, ModernBertForMaskedLM

from modernbert import accelerate
from modernbert.batch import pack
from modernbert.kernels.rope import frequencies, make_rope
from modernbert.kernels.scaling import UNSCALED, RopeScaling
from modernbert.model import folder
from modernbert.model.hf_config import from_hf
from tests.nets import config_of, documents_of, lively
from tests.parity.lines import IS_VERSION_4
from tests.parity.test_transformers import our_run, their_run
from tests.parity.tolerance import assert_all_as_accurate, distance

YARN = RopeScaling(kind="yarn", factor=4.0, original_length=64, attention_factor=1.13)
NARROW = RopeScaling(kind="yarn", factor=2.5, original_length=100, beta_fast=4.0, beta_slow=4.0)
LLAMA = RopeScaling(kind="llama3", factor=8.0, original_length=64)
LINEAR = RopeScaling(kind="linear", factor=3.0)
SCALINGS = {"linear": LINEAR, "yarn": YARN, "yarn without a blend": NARROW, "llama3": LLAMA}
LENGTHS = [300, 65, 7]


def config_for(scaling, local=None):
    return config_of(
        dim=64,
        max_length=256,
        global_rope_theta=160_000.0,
        global_rope_scaling=scaling,
        local_rope_scaling=scaling if local is None else local,
    )


@pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)
def test_logits_and_gradients_are_theirs_beyond_the_first_length(scaling, tmp_path):
    model = lively(config_for(scaling)).eval()
    folder.write(model, tmp_path)
    documents = documents_of(LENGTHS)
    exact = AutoModelForMaskedLM.from_pretrained(tmp_path).eval().double()
    truth = their_run(exact, documents, "right")
    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    naive, ours = their_run(theirs, documents, "right"), our_run(model, documents)
    assert_all_as_accurate(ours, naive, truth)
    for name, right in truth.items():
        assert distance(ours[name], right) < 1e-5 * right.norm().item(), name
    plain = lively(config_for(UNSCALED)).eval()
    assert (plain(pack(documents)) - ours["logits"]).abs().max() > 0.05


def their_frequencies(body):
    """Return theta, frequencies and the factor of their global layers, and of their local ones."""
    if IS_VERSION_4:
        rotaries = [layer.attn.rotary_emb for layer in body.layers[:2]]
        found = [(each.inv_freq, each.attention_scaling) for each in rotaries]
    else:
        all_of = vars(body.rotary_emb) | dict(body.rotary_emb.named_buffers())
        kinds = ("full_attention", "sliding_attention")
        found = [(all_of[f"{k}_inv_freq"], all_of[f"{k}_attention_scaling"]) for k in kinds]
    return [(theta, *each) for theta, each in zip((160_000.0, 10_000.0), found, strict=True)]


@pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)
def test_frequencies_are_theirs_to_the_last_bit(scaling, tmp_path):
    config = config_for(scaling)
    folder.write(lively(config), tmp_path)
    body = AutoModelForMaskedLM.from_pretrained(tmp_path).model
    for theta, theirs, share in their_frequencies(body):
        period = theta ** (torch.arange(0, 32, 2, dtype=torch.float32) / 32)
        assert torch.equal(frequencies(period, theta, scaling), theirs)
        far = make_rope(torch.tensor([0, 32_767]), 32, theta, scaling)
        assert far.cos[0, 0, 0].item() == pytest.approx(share)
        angle = 32_767 * theirs
        assert torch.equal(far.sin[1, 0], angle.sin() * scaling.attention_factor)


@pytest.mark.skipif(IS_VERSION_4, reason="transformers 4 stretches all layers or none")
def test_one_kind_of_layers_may_be_stretched_alone(tmp_path):
    model = lively(config_for(YARN, local=UNSCALED)).eval()
    with pytest.warns(UserWarning, match="transformers 4 cannot stretch the positions of global"):
        folder.write(model, tmp_path)
    assert "rope_scaling" not in json.loads((tmp_path / "config.json").read_text())
    documents = documents_of([300, 300])
    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    right = theirs(torch.tensor(documents)).logits.flatten(0, 1)
    torch.testing.assert_close(model(pack(documents)), right, rtol=1e-4, atol=1e-4)
    assert folder.read(tmp_path).config == model.config


OLD = {
    "linear": {"rope_type": "linear", "factor": 3.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
    "yarn, all said": {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 64,
        "beta_fast": 16,
        "beta_slow": 2,
        "mscale": 1.2,
        "mscale_all_dim": 0.7,
    },
    "yarn, its length unsaid": {"rope_type": "yarn", "factor": 2.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("said", OLD.values(), ids=OLD)
def test_files_of_transformers_4_are_read_as_they_read_them(said, tmp_path):
    """`rope_scaling` counts for all layers; what they write of it then is read the same."""
    keys = {
        "vocab_size": 96,
        "hidden_size": 64,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "global_attn_every_n_layers": 2,
        "max_position_embeddings": 256,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "cls_token_id": 1,
        "sep_token_id": 2,
    }
    torch.manual_seed(0)
    theirs = ModernBertForMaskedLM(ModernBertConfig(**keys, rope_scaling=dict(said))).eval()
    theirs.save_pretrained(tmp_path)
    model = folder.read(tmp_path).eval()
    assert from_hf(keys | {"model_type": "modernbert", "rope_scaling": said}) == model.config
    documents = documents_of([300, 300])
    right = theirs(torch.tensor(documents)).logits.flatten(0, 1)
    torch.testing.assert_close(model(pack(documents)), right, rtol=1e-4, atol=1e-4)


def test_a_live_stretched_model_is_accelerated(tmp_path):
    folder.write(lively(config_for(YARN)), tmp_path)
    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    ids = torch.tensor(documents_of([300, 300]))
    before = theirs(ids).logits
    torch.testing.assert_close(accelerate(theirs)(ids).logits, before, rtol=1e-4, atol=1e-4)
