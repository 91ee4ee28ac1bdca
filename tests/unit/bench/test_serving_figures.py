import pytest

from modernbert.bench.serving_figures import Figures, best_of, fastest, figures, middle
from modernbert.bench.serving_load import Loaded, Record


def point(tokens=10.0, p95=100.0, errors=0, **more):
    given = {"all": (50.0, p95, 200.0)} | more
    return Figures(
        texts_per_second=1.0,
        tokens_per_second=tokens,
        latency_ms=given,
        requests=5,
        errors=errors,
        cpu_share=0.1,
    )


def test_answers_within_the_time_count_and_requests_that_began_in_it_have_latency():
    records = (
        Record("query", 10, 0.0, 0.9, True),  # answered before
        Record("passage", 100, 0.5, 1.5, True),  # began before, answered within
        Record("query", 10, 1.0, 1.25, True),
        Record("document", 1000, 2.5, 7.5, True),  # answered after
        Record("query", 10, 2.0, 2.5, False),
        Record("query", 10, 3.0, 3.5, True),  # began after
    )
    found = figures(Loaded(records, 0.2), 1.0, 3.0)
    assert found.texts_per_second == 1.0
    assert found.tokens_per_second == 55.0
    assert found.latency_ms == {
        "all": pytest.approx((2625.0, 4762.5, 4952.5)),
        "query": (250.0, 250.0, 250.0),
        "document": (5000.0, 5000.0, 5000.0),
    }
    assert (found.requests, found.errors, found.cpu_share) == (3, 1, 0.2)


def test_where_nothing_came_there_is_no_latency():
    found = figures(Loaded((), 0.0), 1.0, 2.0)
    assert (found.texts_per_second, found.latency_ms, found.errors) == (0.0, {}, 0)


def test_medians_are_taken_over_rounds_and_errors_are_added():
    rounds = [
        point(tokens=1.0, p95=10.0, errors=1, document=(1.0, 2.0, 3.0)),
        point(tokens=3.0, p95=30.0),
        point(tokens=8.0, p95=20.0),
    ]
    found = middle(rounds)
    assert (found.tokens_per_second, found.errors, found.requests) == (3.0, 1, 15)
    assert found.latency_ms == {"all": (50.0, 20.0, 200.0), "document": (1.0, 2.0, 3.0)}


def test_the_fastest_point_is_within_the_bound_and_without_errors():
    points = {1: point(5.0, 10.0), 4: point(9.0, 50.0), 16: point(20.0, 100.0, errors=1)}
    assert fastest(points) == 4
    assert fastest(points, 20.0) == 1
    assert fastest(points, 5.0) is None


def test_the_best_peer_has_most_tokens_a_second():
    assert best_of({"a": {1: point(5.0)}, "b": {1: point(4.0), 4: point(6.0)}}) == ("b", 4)
    assert best_of({"a": {1: point(5.0, errors=1)}}) is None
    assert best_of({}) is None
