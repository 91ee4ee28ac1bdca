import torch

from modernbert.model.config import MASKED_LM
from modernbert.model.encoder import Encoder
from modernbert.model.init import build, std_of, with_head
from tests.nets import batch_of, config_of


def weights_of(config, seed=0):
    return dict(build(config, seed).named_parameters())


def test_equal_seeds_give_equal_weights_and_others_do_not():
    one, same, other = (weights_of(config_of(), seed) for seed in (5, 5, 6))
    name = "encoder.layers.1.attn.Wqkv.weight"
    assert all(torch.equal(one[n], same[n]) for n in one)
    assert not torch.equal(one[name], other[name])


def test_another_layer_moves_no_other_tensor():
    small, large = weights_of(config_of(num_layers=2)), weights_of(config_of(num_layers=4))
    # Out-projections shrink with depth by design; all else is the same.
    same = [name for name in small if not name.endswith("Wo.weight")]
    assert all(torch.equal(small[name], large[name]) for name in same)


def test_matrices_follow_megatron_and_are_cut_at_two_deviations():
    config = config_of(dim=128, mlp_dim=192, num_layers=8, vocab_size=512)
    for name, weight in weights_of(config).items():
        if weight.dim() == 1:
            assert (weight == (0.0 if name.endswith("bias") else 1.0)).all(), name
            continue
        std = 0.02 / 4 if name.endswith("Wo.weight") else 0.02
        assert weight.abs().max() <= 2 * std * (1 + 1e-6), name
        # A normal cut at two deviations keeps 0.88 of its own.
        assert abs(weight.std().item() / (0.8796 * std) - 1) < 0.05, name


def test_an_untied_decoder_is_as_wide_as_the_model_asks():
    config = config_of(tie_embeddings=False)
    weights = weights_of(config)
    assert std_of("head.decoder.weight", config) == config.dim**-0.5
    assert "head.decoder.weight" in weights
    assert "head.decoder.weight" not in weights_of(config_of())


def test_a_fresh_encoder_can_be_cast_and_stays_tied_to_its_decoder():
    model = build(config_of(), 0).to(torch.bfloat16)
    assert model.head.decoder.weight is model.encoder.embeddings.tok_embeddings.weight
    assert isinstance(model.encoder, Encoder)
    assert model(batch_of([3, 4])).dtype == torch.bfloat16


def test_a_new_decoder_leaves_the_embeddings_that_it_shares_as_they_are():
    model = build(config_of(), 3, None)
    before = model.encoder.embeddings.tok_embeddings.weight.clone()
    made = with_head(model, MASKED_LM, 4)
    assert torch.equal(made.encoder.embeddings.tok_embeddings.weight, before)
    assert made.head.decoder.weight is made.encoder.embeddings.tok_embeddings.weight
