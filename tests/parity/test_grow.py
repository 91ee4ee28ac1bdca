"""Grown models, and those with another vocabulary, open in transformers."""

import pytest
import torch
from transformers import AutoModelForMaskedLM, ModernBertConfig, ModernBertForMaskedLM

from modernbert.batch import pack
from modernbert.model import folder
from modernbert.model.config import MASKED_LM, EncoderConfig
from modernbert.model.grow import depth_map, grow, larger
from modernbert.model.hf_config import to_hf
from modernbert.model.init import build
from modernbert.model.presets import PRESETS
from modernbert.model.vocabulary import resize
from tests.nets import config_of, documents_of, lively


@pytest.mark.parametrize("what", ["grown", "resized"])
def test_transformers_computes_the_same(what, tmp_path):
    model = lively(config_of()).eval()
    if what == "grown":
        config = larger(
            model.config, config_of(dim=80, mlp_dim=70, num_heads=5, num_layers=5, global_every=2)
        )
        new = grow(model, config, depth_map(model.config, config, "kinds"))
    else:
        new = resize(model, 128)
    folder.write(new, tmp_path)
    documents = documents_of([90, 90])
    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        right = theirs(torch.tensor(documents)).logits.flatten(0, 1)
        torch.testing.assert_close(new(pack(documents)), right, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_base_becomes_large():
    """Real sizes; a small vocabulary keeps memory and time in bounds."""
    base = build(EncoderConfig(vocab_size=192, pad_id=0, cls_id=1, sep_id=2), 0)
    config = larger(base.config, PRESETS["modernbert-large"])
    new = grow(base, config, depth_map(base.config, config, "paper"), width="paper", noise=0.0)
    with torch.device("meta"):
        keys = to_hf(config, dtype="float32", head=MASKED_LM)
        theirs = ModernBertForMaskedLM(ModernBertConfig(**keys))
    ours = {folder.hf_name(name): each.shape for name, each in new.named_parameters()}
    assert ours == {name: each.shape for name, each in theirs.named_parameters()}
    old, now = (each.encoder.layers[9].attn.Wqkv.weight for each in (base, new))
    source = base.encoder.layers[7].attn.Wqkv.weight
    # Two heads more on each side: the old matrix lies 128 rows and columns further in.
    assert torch.equal(now[1024 + 128 : 1024 + 896, 128:896], source[768 : 2 * 768])
    assert old.shape == (2304, 768)
    with torch.no_grad():
        assert new(pack([list(range(3, 60))])).isfinite().all()
