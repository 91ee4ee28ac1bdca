import re

import pytest

from modernbert.base.errors import ConfigError
from modernbert.optim.schedule import BatchWarmup, LengthWarmup
from modernbert.recipes import RECIPES, recipe
from modernbert.recipes.causal import begun_causally
from modernbert.recipes.tiny import tiny


@pytest.mark.parametrize("name", RECIPES)
def test_a_quarter_of_any_recipe_may_be_causal(name):
    before = recipe(name)
    causal, masked, *rest = begun_causally(before, 0.25).phases
    first = before.phases[0]
    assert causal.tokens == round(before.tokens / 4)
    assert causal.tokens + masked.tokens == first.tokens
    assert (causal.objective, masked.objective) == ("causal", "masked")
    assert (causal.name, masked.name) == ("causal", first.name)
    assert causal.batch_warmup == first.batch_warmup
    assert (masked.batch_warmup, masked.length_warmup) == (BatchWarmup(), LengthWarmup())
    assert tuple(rest) == before.phases[1:]


def test_the_rate_is_that_of_the_undivided_phase():
    before = recipe("tiny").scaled_to(100_000)
    causal, masked, *_ = begun_causally(before, 0.1).phases
    first = before.phases[0]
    for at in range(0, first.tokens, 997):
        parts = (causal, at) if at < causal.tokens else (masked, at - causal.tokens)
        phase, inside = parts
        rate = phase.schedule.at(inside, phase.tokens)
        assert rate == pytest.approx(first.schedule.at(at, first.tokens))


@pytest.mark.parametrize("share", [-0.5, 0.01, 0.9, 1.0, 2.0, float("nan")])
def test_a_share_that_cannot_be_is_refused(share):
    with pytest.raises(ConfigError, match=r"must hold all warm-ups .* so give 0.04 to 0.799$"):
        begun_causally(recipe("tiny"), share)


def test_the_shares_that_an_error_names_are_possible():
    with pytest.raises(ConfigError) as caught:
        begun_causally(tiny(), 0.9)
    least, most = re.search(r"give (\S+) to (\S+)$", str(caught.value)).groups()
    for share in (float(least), float(most)):
        assert begun_causally(tiny(), share).tokens == tiny().tokens
