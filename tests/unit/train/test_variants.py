import pytest

from modernbert.base.errors import ConfigError
from modernbert.train.tune_config import TuneConfig
from modernbert.train.variants import Axis, axes_of, variants_of

BASE = TuneConfig(train="a.csv", epochs=7)


def test_words_become_options_of_their_type():
    words = ["peak-lr=1e-5,3e-5", "seed=1,2", "pooling=cls", "betas=0.9:0.98", "compile=true"]
    assert axes_of(words) == [
        Axis("peak_lr", (1e-5, 3e-5)),
        Axis("seed", (1, 2)),
        Axis("pooling", ("cls",)),
        Axis("betas", ((0.9, 0.98),)),
        Axis("compile", (True,)),
    ]
    assert axes_of(["label=a:b,c", "--dev=x.csv"]) == [
        Axis("label", (("a", "b"), ("c",))),
        Axis("dev", ("x.csv",)),
    ]


def test_every_combination_comes_once_and_the_rest_stays():
    found = variants_of(BASE, axes_of(["peak_lr=1e-5,3e-5", "seed=1,2,3"]))
    assert [(each.config.peak_lr, each.config.seed) for each in found] == [
        (lr, seed) for lr in (1e-5, 3e-5) for seed in (1, 2, 3)
    ]
    assert {each.config.epochs for each in found} == {7}
    assert found[0].name == "peak-lr=1e-05,seed=1"
    assert [str(each) for each in found[0].without_seed] == ["peak-lr=1e-05"]
    assert len({each.name for each in found}) == 6
    assert [each.config for each in variants_of(BASE, [])] == [BASE]


def test_names_are_names_of_folders():
    found = variants_of(BASE, axes_of(["train=a/b.csv,a b.csv," + "x" * 300 + ".csv"]))
    names = {each.name for each in found}
    assert len(names) == 3
    assert all("/" not in name and len(name) < 120 for name in names)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rate=1"], "there is no option 'rate': did you mean"),
        (["peak-lr"], "--sweep peak-lr: '' is not a number"),
        (["train"], "--sweep train: write NAME=VALUE,VALUE,..., each value once"),
        (["seed=1,1"], "--sweep seed=1,1: write NAME=VALUE,VALUE,..., each value once"),
        (["seed=1", "seed=2"], "--sweep names 'seed' twice: list its values in one word"),
        (["epochs=1.5"], "--sweep epochs=1.5: '1.5' is not a number"),
        (["pooling=max"], "--sweep pooling=max: 'max' is not one of mean, cls"),
        (["compile=1"], "--sweep compile=1: '1' is not one of true, false"),
        (["epochs=0,1"], "epochs, batch_size, row_tokens and evaluations are"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(words, sentence):
    with pytest.raises(ConfigError) as caught:
        variants_of(BASE, axes_of(words))
    assert sentence in str(caught.value)
