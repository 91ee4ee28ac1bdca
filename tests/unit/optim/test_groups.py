from modernbert.optim.groups import matrix_groups
from tests.nets import config_of, lively


def test_matrices_of_layers_are_set_apart_by_how_many_a_weight_holds():
    model = lively(config_of(num_layers=3, attention_bias=True))
    named = dict(model.named_parameters())
    names = {weight: name for name, weight in named.items()}
    groups = matrix_groups(named.items(), 0.5)
    assert sum(len(group["params"]) for group in groups) == len(named)
    found = {
        group.get("pieces", 0): {
            names[weight].partition(".layers.")[2].partition(".")[2] for weight in group["params"]
        }
        for group in groups
        if group["decays"]
    }
    assert found == {
        0: {""},  # the table, and the head's matrix
        1: {"attn.Wo.weight", "mlp.Wo.weight"},
        2: {"mlp.Wi.weight"},
        3: {"attn.Wqkv.weight"},
    }
    (spared,) = (group for group in groups if not group["decays"])
    assert {weight.dim() for weight in spared["params"]} == {1}
    assert "pieces" not in spared
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0, 0.5, 0.5, 0.5]
