import pytest

from modernbert.base.errors import ConfigError
from modernbert.data.pair_columns import PairColumns
from modernbert.data.pairs import Pair, PairSet
from modernbert.retrieval.training.config import RetrieverConfig, check_kind, numbers_of
from modernbert.retrieval.training.examples import columns_of
from modernbert.retrieval.training.losses import FITS, chosen, temperature_of
from modernbert.retrieval.training.recipes import RECIPES, recipe_of


def held(*pairs: Pair) -> PairSet:
    return PairSet(pairs, PairColumns())


PAIRS = held(Pair("q", "a"))
NEGATIVES = held(Pair("q", "a", ("b",)))
TEACHER = held(Pair("q", "a", ("b",), (3.0, 1.0)))
LABELS = held(Pair("q", "a", (), (0.5,)))
NUMBERS = held(Pair("q", "a", (), (7.0,)))


@pytest.mark.parametrize(
    ("kind", "losses"),
    [
        ("dense", ["contrastive", "contrastive", "kl", "cosent"]),
        ("colbert", ["contrastive", "contrastive", "kl", None]),
        ("sparse", ["contrastive", "contrastive", "margin-mse", "cosent"]),
        ("rerank", ["contrastive", "bce", "margin-mse", "bce"]),
    ],
)
def test_the_loss_is_chosen_by_what_the_pairs_hold(kind, losses):
    for found, loss in zip((PAIRS, NEGATIVES, TEACHER, LABELS), losses, strict=True):
        if loss is None:
            with pytest.raises(ConfigError, match="does not learn from a score of each pair"):
                chosen(kind, "auto", found)
        else:
            assert chosen(kind, "auto", found) == loss
            assert found.holding in FITS[loss][kind]


def test_numbers_beyond_shares_are_learned_as_numbers():
    assert chosen("rerank", "auto", NUMBERS) == "mse"
    with pytest.raises(ConfigError, match="bce learns from scores between 0 and 1"):
        chosen("rerank", "bce", NUMBERS)


def test_a_loss_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="kl of dense does not learn from queries and documents"):
        chosen("dense", "kl", PAIRS)
    with pytest.raises(ConfigError, match=r"lambda of dense .*: give --loss contrastive"):
        chosen("dense", "lambda", NEGATIVES)
    with pytest.raises(ConfigError, match="leave the scores out"):
        chosen("colbert", "auto", LABELS)


def test_rows_are_what_losses_read():
    pairs = TEACHER.pairs
    texts = {"query": ["q"], "positive": ["a"], "negative_1": ["b"]}
    assert columns_of(pairs, "contrastive") == texts
    assert columns_of(pairs, "kl") == texts | {"label": [[3.0, 1.0]]}
    assert columns_of(pairs, "kl", 32.0)["label"] == [[96.0, 32.0]]
    assert columns_of(pairs, "bce") == {
        "query": ["q", "q"],
        "positive": ["a", "b"],
        "label": [1.0, 0.0],
    }
    assert columns_of(pairs, "mse")["label"] == [3.0, 1.0]
    assert columns_of(pairs, "lambda") == {
        "query": ["q"],
        "positive": [["a", "b"]],
        "label": [[1.0, 0.0]],
    }
    assert columns_of(pairs, "listwise")["label"] == [[3.0, 1.0]]
    assert columns_of(LABELS.pairs, "bce")["label"] == [0.5]
    assert columns_of(LABELS.pairs, "cosent")["label"] == [0.5]


def test_recipes_of_the_paper():
    base, late = RECIPES["dpr-base"], RECIPES["colbert-large"]
    assert (base.loss, base.batch_size, base.mini_batch, base.lr) == ("contrastive", 512, 16, 8e-5)
    assert (late.loss, late.batch_size, late.lr, late.max_length) == ("kl", 16, 3e-5, 300)
    assert {recipe.warmup for recipe in RECIPES.values()} == {0.05}


def test_recipes_are_found_by_name_and_kind():
    assert recipe_of("", "sparse") is RECIPES["sparse"]
    with pytest.raises(ConfigError, match="no recipe 'dpr-bas' of retrieval: did you mean dpr-bas"):
        recipe_of("dpr-bas", "dense")
    with pytest.raises(ConfigError, match="'dpr-base' is of dense, and colbert is trained"):
        recipe_of("dpr-base", "colbert")


def test_what_a_user_says_wins_over_the_recipe():
    told = numbers_of(RetrieverConfig(batch_size=64, warmup=0.0), RECIPES["dpr-base"])
    assert (told["batch_size"], told["warmup"], told["lr"]) == (64, 0.0, 8e-5)
    assert told["loss"] == "contrastive"
    assert numbers_of(RetrieverConfig(loss="kl"), RECIPES["dpr-base"])["loss"] == "kl"


def test_scores_that_are_sums_are_not_sharpened():
    assert temperature_of("dense", "contrastive") == 0.05
    assert temperature_of("colbert", "contrastive") == 1.0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"lr": -1.0}, "lr is -1.0: give 0 or more"),
        ({"warmup": 1.0}, "warmup is 1.0: give a share of the steps, below 1"),
        ({"evaluations": 0}, "evaluations is 0: give 1 or more"),
        ({"batch_size": 1}, "batch_size is 1, and pairs of a batch are compared: give 2 or more"),
        ({"max_length": 3}, "max_length is 3: give 8 tokens or more"),
    ],
)
def test_numbers_without_sense_are_refused(fields, said):
    with pytest.raises(ConfigError, match=said):
        RetrieverConfig(**fields)


def test_options_of_other_kinds_are_refused():
    with pytest.raises(ConfigError, match="matryoshka means nothing for rerank, it is of dense"):
        check_kind(RetrieverConfig(matryoshka=(8,)), "rerank")
    with pytest.raises(ConfigError, match="query_prompt means nothing for rerank, it is of dense"):
        check_kind(RetrieverConfig(query_prompt="q: "), "rerank")
