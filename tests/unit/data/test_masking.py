import numpy as np
import pytest

from modernbert.base.errors import ConfigError
from modernbert.data.masking import MaskingRule, hide
from modernbert.data.stream import Rows

SPECIAL = frozenset({0, 1, 2, 3, 4})
ORDINARY = np.arange(5, 1000)


def rule(**changes):
    return MaskingRule(mask_id=4, special_ids=SPECIAL, ordinary_ids=ORDINARY, **changes)


def rows(lengths, first_sample=0, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, 1000, sum(lengths))
    ends = np.cumsum(lengths)
    ids[ends - lengths] = 1
    ids[ends - 1] = 2
    return Rows(ids, tuple(lengths), np.arange(len(lengths)) + first_sample)


BIG = rows([200] * 1000)


def test_rates_are_those_of_the_rule():
    hidden = hide(BIG, rule=rule(), key=1)
    ordinary = (BIG.ids >= 5).sum()
    shown = hidden.ids[hidden.positions]
    count = len(hidden.positions)
    kept = (shown == hidden.targets).mean()
    masked = (shown == 4).mean()
    # Five standard deviations of a share.
    assert abs(count / ordinary - 0.3) < 5 * np.sqrt(0.3 * 0.7 / ordinary)
    assert abs(masked - 0.8) < 5 * np.sqrt(0.8 * 0.2 / count)
    assert abs(kept - 0.1 - 0.1 / 995) < 5 * np.sqrt(0.1 * 0.9 / count)


def test_random_tokens_come_from_the_whole_ordinary_vocabulary():
    hidden = hide(BIG, rule=rule(rate=1.0, mask_share=0.0, random_share=1.0), key=1)
    counts = np.bincount(hidden.ids[hidden.positions], minlength=1000)
    assert not counts[:5].any()
    expected = len(hidden.positions) / 995
    assert abs(counts[5:] - expected).max() < 6 * np.sqrt(expected)


def test_all_may_become_the_mask():
    hidden = hide(BIG, rule=rule(mask_share=1.0, random_share=0.0), key=1)
    assert (hidden.ids[hidden.positions] == 4).all()


def test_specials_are_never_hidden_and_the_rest_is_untouched():
    hidden = hide(BIG, rule=rule(rate=1.0), key=1)
    np.testing.assert_array_equal(hidden.positions, np.flatnonzero(BIG.ids >= 5))
    np.testing.assert_array_equal(hidden.targets, BIG.ids[hidden.positions])
    hidden = hide(BIG, rule=rule(), key=1)
    untouched = np.delete(np.arange(len(BIG.ids)), hidden.positions)
    np.testing.assert_array_equal(hidden.ids[untouched], BIG.ids[untouched])


def test_nothing_is_hidden_at_rate_zero():
    hidden = hide(BIG, rule=rule(rate=0.0), key=1)
    assert len(hidden.positions) == len(hidden.targets) == 0
    np.testing.assert_array_equal(hidden.ids, BIG.ids)


def test_keys_and_samples_give_other_masks():
    small = rows([500])
    same, by_key, by_sample = (
        set(hide(rows([500], sample), rule=rule(), key=key).positions.tolist())
        for key, sample in ((1, 0), (2, 0), (1, 1))
    )
    assert same == set(hide(small, rule=rule(), key=1).positions.tolist())
    # Two masks of 30% share 9% of the tokens by chance.
    assert len(same & by_key) < 80
    assert len(same & by_sample) < 80


def test_neighbouring_tokens_and_samples_are_unrelated():
    hidden = hide(BIG, rule=rule(), key=1)
    mask = np.zeros(len(BIG.ids))
    mask[hidden.positions] = 1
    grid = mask.reshape(1000, 200)[:, 1:-1]
    assert abs(np.corrcoef(grid[:, 1:].ravel(), grid[:, :-1].ravel())[0, 1]) < 0.015
    assert abs(np.corrcoef(grid[1:].ravel(), grid[:-1].ravel())[0, 1]) < 0.015


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 1.5}, "rate is 1.5: give a share between 0 and 1"),
        ({"mask_share": -0.1}, "mask_share is -0.1"),
        ({"mask_share": 0.9, "random_share": 0.2}, "sum to more than 1"),
    ],
)
def test_rules_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        rule(**changes)
