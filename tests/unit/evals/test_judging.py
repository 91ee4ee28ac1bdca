import pytest

from modernbert.evals.judging import chance


def measured(*values):
    return {str(number): {"ndcg@10": value} for number, value in enumerate(values)}


def test_equal_systems_differ_by_chance_and_unlike_ones_do_not():
    same = measured(*[0.5] * 20)
    assert chance(same, same) == 1.0
    better = measured(*[0.5 + 0.01 * (n % 5) for n in range(20)])
    assert chance(better, same) < 0.001
    mixed = measured(*[0.5 + 0.1 * (-1) ** n for n in range(20)])
    assert chance(mixed, same) > 0.9


def test_the_test_is_two_sided_and_gives_the_same_each_time():
    one, other = measured(0.1, 0.5, 0.2), measured(0.3, 0.6, 0.1)
    assert chance(one, other) == chance(other, one) == chance(one, other)
    # Signs of three gaps have eight combinations; of these four sum to 0.2 or more on either side.
    exact = (
        sum(
            abs(a * 0.2 + b * 0.1 + c * 0.1) >= 0.2 - 1e-9
            for a in (1, -1)
            for b in (1, -1)
            for c in (1, -1)
        )
        / 8
    )
    assert chance(one, other) == pytest.approx(exact, abs=0.02)
