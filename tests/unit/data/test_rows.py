import numpy as np
import pytest

from modernbert.base.errors import DataError
from modernbert.data.rows import ExampleSet, ExampleStream, in_order


def examples(count=23, longest=40):
    rng = np.random.default_rng(0)
    documents = [rng.integers(0, 99, rng.integers(1, longest)) for _ in range(count)]
    return ExampleSet(documents, [f"line {n}" for n in range(count)]), documents


def stream(found, **options):
    return ExampleStream(found, **{"batch_size": 5, "row_tokens": 64, "seed": 0} | options)


def taken(source, steps, **place):
    return [micro for step in steps for micro in source.take(step, **place).micros]


def numbers(micros):
    return np.concatenate([micro.numbers for micro in micros]).tolist()


def test_every_example_comes_once_an_epoch_in_another_order():
    found, _ = examples()
    source = stream(found)
    assert source.steps_per_epoch == 5
    epochs = [numbers(taken(source, range(5 * n, 5 * n + 5))) for n in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(23))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_rows_hold_the_documents_and_are_not_too_long():
    found, documents = examples()
    for micro in taken(stream(found), range(7)):
        assert len(micro.rows.ids) == sum(micro.rows.lengths) <= 64
        ends = np.cumsum(micro.rows.lengths)[:-1]
        for number, ids in zip(micro.numbers, np.split(micro.rows.ids, ends), strict=True):
            assert np.array_equal(ids, documents[number])


def test_a_step_that_is_one_micro_batch_is_dealt_out_evenly():
    found, _ = examples(count=40, longest=300)
    options = {"batch_size": 20, "row_tokens": 8192}
    whole, dealt = (stream(found, **options, shares=shares) for shares in (1, 3))
    for step in range(4):
        one, three = whole.take(step), dealt.take(step)
        assert (len(one.micros), len(three.micros)) == (1, 3)
        assert sorted(numbers(three.micros)) == sorted(numbers(one.micros))
        assert three.num_tokens == one.num_tokens
        sizes = [len(micro.rows.ids) for micro in three.micros]
        assert max(sizes) - min(sizes) <= found.lengths.max()
        both = [np.concatenate([m.rows.samples for m in each.micros]) for each in (one, three)]
        assert sorted(both[0].tolist()) == sorted(both[1].tolist())


@pytest.mark.parametrize(("tokens", "shares"), [(500, 1), (600, 2), (2000, 4), (9000, 8)])
def test_more_shares_want_more_tokens_each(tokens, shares):
    found = ExampleSet([np.arange(tokens // 20)] * 20, ["here"] * 20)
    dealt = stream(found, batch_size=20, row_tokens=16384, shares=16).take(0)
    assert len(dealt.micros) == shares


@pytest.mark.parametrize(("longest", "row_tokens"), [(20, 8192), (300, 512)])
def test_few_tokens_and_several_micro_batches_are_not_dealt_out(longest, row_tokens):
    found, _ = examples(longest=longest)
    options = {"batch_size": 10, "row_tokens": row_tokens}
    one, four = (stream(found, **options, shares=shares).take(0) for shares in (1, 4))
    assert list(map(numbers, [one.micros])) == list(map(numbers, [four.micros]))
    assert len(one.micros) == len(four.micros)


def test_ranks_share_a_step():
    found, _ = examples()
    source = stream(found)
    for step in range(6):
        alone = source.take(step)
        shared = [source.take(step, rank=rank, world_size=3) for rank in range(3)]
        assert {each.num_tokens for each in shared} == {alone.num_tokens}
        assert {each.num_examples for each in shared} == {alone.num_examples}
        parts = [n for each in shared if each.micros for n in numbers(each.micros)]
        assert sorted(parts) == sorted(numbers(alone.micros))


def test_samples_are_addresses_that_never_repeat():
    found, _ = examples()
    micros = taken(stream(found), range(10))
    samples = np.concatenate([micro.rows.samples for micro in micros])
    assert sorted(samples.tolist()) == list(range(2 * 23))


def test_documents_of_an_example_are_never_parted():
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 5, 23).tolist()
    groups = [[rng.integers(0, 99, rng.integers(1, 12)) for _ in range(n)] for n in counts]
    where = [f"line {n}" for n in range(23)]
    found = ExampleSet([ids for group in groups for ids in group], where, counts)
    assert len(found) == 23
    assert found.lengths.tolist() == [sum(map(len, group)) for group in groups]
    source = stream(found)
    steps = range(source.steps_per_epoch)
    shared = [m for rank in range(2) for m in taken(source, steps, rank=rank, world_size=2)]
    for micros in (taken(source, steps), shared, list(in_order(found, 64))):
        assert sorted(numbers(micros)) == list(range(23))
        for micro in micros:
            chosen = [groups[number] for number in micro.numbers]
            assert micro.rows.lengths == tuple(len(ids) for group in chosen for ids in group)
            together = np.concatenate([ids for group in chosen for ids in group])
            assert np.array_equal(micro.rows.ids, together)
            assert len(together) <= 64
            assert len(micro.rows.samples) == len(micro.rows.lengths)
            assert len({*micro.rows.samples.tolist()}) == len(chosen)


def test_an_example_longer_than_a_row_is_one():
    found = ExampleSet([np.arange(100), np.arange(3)], ["a", "b"])
    assert [len(m.rows.ids) for m in taken(stream(found), [0])] in ([100, 3], [3, 100])


def test_all_come_in_order_of_length_to_evaluate():
    found, _ = examples(count=2300)
    micros = list(in_order(found, 64))
    assert sorted(numbers(micros)) == list(range(2300))
    assert len(micros[0].rows.ids) >= len(micros[-1].rows.ids)


def test_no_example_is_a_sentence():
    with pytest.raises(DataError, match="there is no example: give at least one"):
        ExampleSet([], [])
