import pytest
import torch

from modernbert.base.errors import ConfigError
from modernbert.model.config import EncoderConfig, HeadConfig
from modernbert.model.grow import centred, depth_map, grow, kept_kinds, larger, stretched, tiled
from modernbert.model.presets import PRESETS
from tests.nets import batch_of, config_of, lively

BASE, LARGE = PRESETS["modernbert-base"], PRESETS["modernbert-large"]
LEARNED = {"position": "learned", "max_length": 150}
BIASED = {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "head_bias": True}
LABELS = HeadConfig(kind="sequence", labels=("a", "b", "c"), pooling="cls")


def sized(config, **sizes):
    return larger(config, config_of(**{"dim": 32, "mlp_dim": 48, "num_layers": 3} | sizes))


def grown(model, config, rule="kinds", **how):
    return grow(model, config, depth_map(model.config, config, rule), **how)


def naive(old, new):
    """Lay the old indices in the middle, then walk outwards, wrapping around."""
    offset = (new - old) // 2
    found = [0] * offset + list(range(old)) + [0] * (new - old - offset)
    for place in range(offset - 1, -1, -1):
        found[place] = (found[place + 1] - 1) % old
    for place in range(offset + old, new):
        found[place] = (found[place - 1] + 1) % old
    return found


@pytest.mark.parametrize(("old", "new"), [(2, 4), (3, 5), (4, 7), (1, 8), (3, 8), (5, 5), (4, 13)])
def test_the_middle_is_kept_and_the_rest_wraps_around(old, new):
    assert centred(old, new).tolist() == naive(old, new)


def test_a_matrix_repeats_around_its_middle():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    row, other = [4.0, 3.0, 4.0, 3.0], [2.0, 1.0, 2.0, 1.0]
    assert tiled(x, centred(2, 4), centred(2, 4)).tolist() == [row, other, row, other]
    assert tiled(x, centred(2, 2), centred(2, 2)).tolist() == x.tolist()
    assert tiled(x[0], centred(2, 3)).tolist() == [1, 2, 1]


def test_queries_keys_values_and_heads_stay_apart():
    model = lively(config_of(**BIASED))
    config = sized(model.config, dim=80, num_heads=5)  # heads of 16: one head moves in on the left
    old, new = (
        each.encoder.layers[2].attn
        for each in (model, grown(model, config, width="paper", noise=0.0))
    )
    was = old.Wqkv.weight.view(3, 2, 16, 32)
    now = new.Wqkv.weight.view(3, 5, 16, 80)
    columns = naive(32, 80)
    for part in range(3):
        for head, source in enumerate(naive(2, 5)):
            assert torch.equal(now[part, head], was[part, source][:, columns])
            biases = [each.Wqkv.bias.view(3, -1, 16) for each in (old, new)]
            assert torch.equal(biases[1][part, head], biases[0][part, source])
            mixed = new.Wo.weight.view(80, 5, 16)[:, head]
            assert torch.equal(mixed, old.Wo.weight.view(32, 2, 16)[columns, source])


def test_halves_of_the_gated_mlp_stay_apart():
    model = lively(config_of(**BIASED))
    config = sized(model.config, dim=48, mlp_dim=70, num_heads=3)
    new = grown(model, config, width="paper", noise=0.0).encoder.layers[1].mlp
    old = model.encoder.layers[1].mlp
    rows, columns = naive(48, 70), naive(32, 48)
    for half in range(2):
        was, now = old.Wi.weight.view(2, 48, 32)[half], new.Wi.weight.view(2, 70, 48)[half]
        assert torch.equal(now, was[rows][:, columns])
        assert torch.equal(new.Wi.bias.view(2, 70)[half], old.Wi.bias.view(2, 48)[half][rows])
    assert torch.equal(new.Wo.weight, old.Wo.weight[columns][:, rows])


def test_table_norms_and_head_follow_the_stream():
    model = lively(config_of(**BIASED))
    new = grown(model, sized(model.config, dim=64, num_heads=4), width="paper", noise=0.0)
    columns = naive(32, 64)
    old, now = model.state_dict(), new.state_dict()
    table = "encoder.embeddings.tok_embeddings.weight"
    assert torch.equal(now[table], old[table][:, columns])
    assert torch.equal(now["head.dense.weight"], old["head.dense.weight"][columns][:, columns])
    for name in ("encoder.layers.1.attn_norm.bias", "encoder.final_norm.weight", "head.norm.bias"):
        assert torch.equal(now[name], old[name][columns])
    assert torch.equal(now["head.decoder.bias"], old["head.decoder.bias"])
    assert new.head.decoder.weight is new.encoder.embeddings.tok_embeddings.weight


@pytest.mark.parametrize("width", ["shared", "paper"])
def test_equal_sizes_give_an_equal_model(width):
    model = lively(config_of(**BIASED)).eval()
    same = grown(model, sized(model.config), width=width, noise=0.5)
    assert same.config == model.config
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True)
    )
    assert torch.equal(model(batch_of([70, 5])), same(batch_of([70, 5])))


@pytest.mark.parametrize(
    "head", [HeadConfig(), LABELS, None], ids=["masked_lm", "sequence", "none"]
)
@pytest.mark.parametrize(
    "fields",
    [
        {},
        BIASED | {"tie_embeddings": False},
        {"gated_mlp": False},
        LEARNED,
        {"norm": "rms", "qk_norm": True},
    ],
    ids=["plain", "biased", "no gate", "learned positions", "RMSNorm and QK-norm"],
)
def test_shared_copies_of_a_doubled_width_keep_the_function(head, fields):
    model = lively(config_of(**fields), head=head).eval()
    config = sized(model.config, dim=64, mlp_dim=96, num_heads=4)
    batch = batch_of([150, 3, 40])
    before, after = model(batch), grown(model, config, noise=0.0)(batch)
    if head is None:
        before = before[:, naive(32, 64)]
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    far = grown(model, config, width="paper", noise=0.0)(batch)
    assert (far - before).abs().max() > 0.1


def test_a_wider_mlp_alone_keeps_the_function_too():
    model = lively(config_of()).eval()
    after = grown(model, sized(model.config, mlp_dim=111), noise=0.0)
    torch.testing.assert_close(after(batch_of([80])), model(batch_of([80])), rtol=1e-4, atol=1e-4)


def test_noise_tells_copies_apart_and_leaves_each_first_one():
    model = lively(config_of())
    config = sized(model.config, dim=64, num_heads=4, mlp_dim=96)
    plain, noisy, again = (grown(model, config, noise=noise) for noise in (0.0, 0.1, 0.1))
    was, now = (each.encoder.layers[1].mlp.Wi.weight for each in (plain, noisy))
    assert torch.equal(now, again.encoder.layers[1].mlp.Wi.weight)
    assert torch.equal(now[:48, :32], was[:48, :32])
    moved = (now - was)[:48, 32:].std() / was.std()
    assert 0.09 < moved < 0.11
    assert torch.equal(plain.encoder.final_norm.weight, noisy.encoder.final_norm.weight)


@pytest.mark.parametrize(("noise", "is_stuck"), [(0.0, True), (0.1, False)])
def test_equal_copies_get_equal_gradients(noise, is_stuck):
    model = lively(config_of())
    wide = grown(model, sized(model.config, dim=64, num_heads=4, mlp_dim=96), noise=noise)
    positions = torch.tensor([3, 9])
    wide.masked_lm(batch_of([40]), positions, positions)[0].backward()
    grad = wide.encoder.layers[1].mlp.Wi.weight.grad
    apart = (grad[:, :32] - grad[:, 32:]).norm() / grad.norm()
    assert bool(apart < 1e-5) is is_stuck


def test_the_paper_stretches_layers_evenly():
    found = depth_map(BASE, LARGE, "paper")
    # By hand: the layer nearest to i * 22 / 28, halves to the even one.
    assert found == (
        *(0, 1, 2, 2, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10),
        *(11, 12, 13, 13, 14, 15, 16, 16, 17, 18, 19, 20, 20, 21),
    )
    assert kept_kinds(BASE, LARGE, found) == 16


def test_kinds_stay_what_they_were():
    found = depth_map(BASE, LARGE, "kinds")
    assert kept_kinds(BASE, LARGE, found) == 28
    assert {*found} == {*range(22)}
    assert depth_map(BASE, BASE, "kinds") == depth_map(BASE, BASE, "paper") == (*range(22),)


def test_a_kind_that_is_not_there_comes_from_where_the_paper_takes_it():
    old = config_of(num_layers=2, global_every=1)
    new = config_of(num_layers=4, global_every=2)
    assert depth_map(old, new, "kinds") == (0, 0, 1, 1)
    assert depth_map(new, old, "kinds") == (0, 2)


def test_more_than_twice_the_layers_stay_in_range():
    assert stretched(1, 5) == (0, 0, 0, 0, 0)
    assert max(stretched(4, 28)) == 3


def test_a_copy_of_the_first_layer_gets_the_norm_that_ran_before_it():
    model = lively(config_of())
    config = sized(model.config, num_layers=9)
    deep = grow(model, config, stretched(3, 9))
    assert torch.equal(
        deep.encoder.layers[1].attn_norm.weight, model.encoder.embeddings.norm.weight
    )
    assert torch.equal(
        deep.encoder.layers[8].attn_norm.weight, model.encoder.layers[2].attn_norm.weight
    )


def test_a_pattern_without_a_period_is_stretched_with_the_layers():
    old = config_of(layer_kinds=("local", "global", "global"))
    new = sized(old, num_layers=6)
    assert new.layer_kinds == ("local", "local", "global", "global", "global", "global")


def test_dtype_and_mode_stay():
    model = lively(config_of()).to(torch.bfloat16).eval()
    new = grown(model, sized(model.config, dim=64, num_heads=4))
    assert {each.dtype for each in new.parameters()} == {torch.bfloat16}
    assert not new.training


def test_what_would_shrink_or_bend_is_refused():
    config = config_of()
    with pytest.raises(ConfigError, match="num_layers 2 is less than the model's 3: models only"):
        sized(config, num_layers=2)
    with pytest.raises(ConfigError, match="heads 32 wide, and the model's are 16 wide: choose num"):
        sized(config, dim=64, num_heads=2)
    assert larger(BASE, LARGE) == LARGE
    assert isinstance(larger(config, config), EncoderConfig)
