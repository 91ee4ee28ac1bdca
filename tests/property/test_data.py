import itertools
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modernbert.base.errors import DataError
from modernbert.data import pieces as cutting
from modernbert.data.chunks import ChunkTable
from modernbert.data.masking import MaskingRule, hide
from modernbert.data.mixture import interleave, length_weights, long_of, tempered
from modernbert.data.order import permuted
from modernbert.data.packing import best_fit
from modernbert.data.shards import Shard, write_shard
from modernbert.data.stream import Rows, Stream, StreamConfig, StreamState
from tests.corpora import make_corpus, tokenizer

lengths = st.lists(st.integers(1, 64), max_size=200)
documents = st.lists(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=50), max_size=20)


@given(lengths)
def test_every_chunk_is_placed_once_and_rows_hold(lengths):
    packing = best_fit(lengths, capacity=64)
    assert sorted(index for row in packing.rows for index in row) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= 64 for row in packing.rows)
    assert packing.left == ()


@given(lengths)
def test_no_two_rows_could_have_been_one(lengths):
    fills = sorted(sum(lengths[i] for i in row) for row in best_fit(lengths, capacity=64).rows)
    assert len(fills) < 2 or fills[0] + fills[1] > 64


@given(lengths, st.integers(1, 20), st.integers(0, 50))
def test_what_is_left_fits_nowhere_and_the_first_go_first(lengths, num_rows, first):
    first = min(first, len(lengths))
    packing = best_fit(lengths, 64, num_rows, first=first)
    placed = [index for row in packing.rows for index in row]
    assert sorted([*placed, *packing.left]) == list(range(len(lengths)))
    room = 64 - min(sum(lengths[i] for i in row) for row in packing.rows)
    assert all(lengths[index] > room for index in packing.left)
    alone = best_fit(lengths[:first], 64, num_rows, first=first)
    assert {i for i in packing.left if i < first} == set(alone.left)


@given(st.integers(65, 1000))
def test_a_chunk_longer_than_a_row_is_refused(length):
    with pytest.raises(DataError, match=rf"chunk 1 has {length} tokens, a row holds 64: split it"):
        best_fit([3, length], 64)


@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_a_shuffle_loses_nothing(size, key):
    assert sorted(permuted(np.arange(size), size, key).tolist()) == list(range(size))


@given(st.lists(st.floats(0.02, 1.0), min_size=1, max_size=8), st.integers(0, 50))
def test_shares_are_realised_in_every_window(weights, cycles):
    shares = np.array(weights) / sum(weights)
    mixture = interleave(shares)
    length = len(mixture.owners)
    owners, ranks = mixture.at(np.arange(cycles * length + 17, (cycles + 1) * length + 17))
    realised = np.bincount(owners, minlength=len(shares)) / length
    np.testing.assert_allclose(realised, shares, rtol=0.01)
    for source in range(len(shares)):
        np.testing.assert_array_equal(np.diff(ranks[owners == source]), 1)


@given(
    st.dictionaries(st.text(min_size=1), st.integers(1, 10**9), min_size=2, max_size=6),
    st.floats(0, 2),
    st.floats(0.01, 10),
)
def test_temperature_keeps_order_and_a_boost_raises_one_source_alone(tokens, temperature, boost):
    weights = tempered(tokens, temperature, {})
    assert sum(weights.values()) == pytest.approx(1)
    names = sorted(tokens, key=tokens.get)
    assert all(weights[a] <= weights[b] for a, b in itertools.pairwise(names))
    first, second = names[:2]
    ratio = (tokens[first] / tokens[second]) ** temperature
    assert weights[first] / weights[second] == pytest.approx(ratio, rel=1e-6)
    boosted = tempered(tokens, temperature, {first: boost})
    assert boosted[first] / boosted[second] == pytest.approx(ratio * boost, rel=1e-6)
    for a, b in itertools.pairwise(names[1:]):
        assert boosted[a] / boosted[b] == pytest.approx(weights[a] / weights[b], rel=1e-6)


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=3),
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).filter(sum),
        min_size=1,
        max_size=5,
    ),
    st.floats(0.1, 20),
    st.randoms(use_true_random=False),
)
def test_long_documents_are_boosted_within_their_source(tokens, boost, random):
    weights = {name: random.uniform(0.1, 1) for name in tokens}
    parts = length_weights(weights, tokens, boost)
    for name, (short, long) in tokens.items():
        assert parts[name] + parts[long_of(name)] == pytest.approx(weights[name])
        if short and long:
            epochs = parts[name] / short, parts[long_of(name)] / long
            assert epochs[1] / epochs[0] == pytest.approx(boost)


@given(documents)
def test_shards_give_back_what_was_written(documents):
    with tempfile.TemporaryDirectory() as folder:
        given = [np.array(ids) for ids in documents]
        facts = write_shard(Path(folder) / "train-00000", given, 0, "uint16")
        shard = Shard(Path(folder), facts, "uint16")
        assert shard.lengths.tolist() == [len(ids) for ids in given]
        for number, ids in enumerate(given):
            np.testing.assert_array_equal(shard.read(number, 0, len(ids)), ids)


@given(st.text(max_size=400))
def test_text_survives_its_ids_but_for_unicode_composition(text):
    (ids,) = tokenizer().encode_many([text])
    assert not tokenizer().special_ids & set(ids.tolist())
    assert tokenizer().decode(ids) == unicodedata.normalize("NFC", text)


@given(st.text(alphabet="ab 1\n\t'é\u0301,s[]unused7日", max_size=200))
def test_cutting_changes_no_id(text):
    (whole,) = tokenizer().encode_many([text])
    cuts = [0, *(found.start() for found in cutting._CUT.finditer(text)), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(cuts)]
    cut = np.concatenate([np.zeros(0, int), *tokenizer().encode_many(pieces)])
    np.testing.assert_array_equal(cut, whole)


RULE = MaskingRule(mask_id=4, special_ids=frozenset(range(5)), ordinary_ids=np.arange(5, 90))
chunk_lists = st.lists(
    st.lists(st.integers(0, 89), min_size=1, max_size=30), min_size=1, max_size=12
)


def masked_chunks(chunks, order):
    rows = Rows(
        np.concatenate([chunks[i] for i in order]),
        tuple(len(chunks[i]) for i in order),
        np.array([1000 + i for i in order]),
    )
    hidden = hide(rows, rule=RULE, key=9)
    ends = np.cumsum(rows.lengths)
    assert not np.isin(rows.ids[hidden.positions], range(5)).any()
    return {
        int(sample): ids.tolist()
        for sample, ids in zip(rows.samples, np.split(hidden.ids, ends[:-1]), strict=True)
    }


@given(chunk_lists, st.randoms(use_true_random=False))
def test_a_chunk_is_masked_alike_in_any_row(chunks, random):
    order = list(range(len(chunks)))
    together = masked_chunks(chunks, order)
    random.shuffle(order)
    assert masked_chunks(chunks, order) == together
    for alone in order:
        assert masked_chunks(chunks, [alone])[1000 + alone] == together[1000 + alone]


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("property"), {"a": 12, "b": 8})


@settings(max_examples=25, deadline=None)
@given(
    context_length=st.integers(8, 100),
    extra=st.integers(0, 200),
    world_size=st.integers(1, 3),
    num_rows=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    weights=st.none() | st.just({"a": 1.0, "b": 0.5}),
)
def test_positions_come_once_each_whatever_the_ranks_and_batch_sizes(
    small_corpus, context_length, extra, world_size, num_rows, weights
):
    config = StreamConfig(context_length, context_length + extra, 3, "property", weights)
    stream = Stream(small_corpus, config)
    state, seen = StreamState(), []
    for count in num_rows:
        shared = [stream.take(state, count, rank, world_size) for rank in range(world_size)]
        state = shared[0].state
        assert all(step.state == state for step in shared)
        seen += [s for step in shared for rows in step.rows for s in rows.samples.tolist()]
        assert all(len(r.ids) <= context_length + extra for step in shared for r in step.rows)
    assert sorted([*seen, *state.carried]) == list(range(state.cursor))


mixtures = {
    "by size": None,
    "weighed": {"a": 0.8, "b": 0.2},
    "one": {"b": 1.0},
}


@settings(max_examples=15, deadline=None)
@given(
    context_length=st.integers(16, 120),
    num_rows=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    world_size=st.integers(1, 4),
    mixture=st.sampled_from(sorted(mixtures)),
    long_tokens=st.sampled_from([0, 60, 100, 150]),
    long_boost=st.floats(0.25, 4),
)
def test_every_document_comes_once_per_epoch_of_its_part(
    small_corpus, context_length, num_rows, world_size, mixture, long_tokens, long_boost
):
    """What is seen, over all ranks: no chunk of a part a second time before all of them once."""
    config = StreamConfig(
        context_length,
        4 * context_length,
        3,
        "epochs",
        mixtures[mixture],
        long_tokens=long_tokens,
        long_boost=long_boost,
    )
    stream, state, seen = Stream(small_corpus, config), StreamState(), []
    for count in num_rows:
        shared = [stream.take(state, count, rank, world_size) for rank in range(world_size)]
        state = shared[0].state
        seen += [s for step in shared for rows in step.rows for s in rows.samples.tolist()]
    assert sorted([*seen, *state.carried]) == list(range(state.cursor))
    chunks = ChunkTable(small_corpus, "train", context_length, long_tokens)
    starts = chunks.part_starts if long_tokens or mixtures[mixture] else chunks.part_starts[[0, -1]]
    visits = np.bincount(stream._chunks_at(np.arange(state.cursor)), minlength=len(chunks))
    for first, stop in itertools.pairwise(starts):
        of_part = visits[first:stop]
        assert of_part.size == 0 or of_part.max() - of_part.min() <= 1


@settings(max_examples=20, deadline=None)
@given(
    mixture=st.sampled_from(sorted(mixtures)),
    long_tokens=st.sampled_from([60, 100, 150]),
    long_boost=st.floats(0.25, 4),
)
def test_sources_keep_their_shares_and_long_documents_come_so_often(
    small_corpus, mixture, long_tokens, long_boost
):
    context = 64
    weights = mixtures[mixture]
    config = StreamConfig(
        context, context, 3, "boost", weights, long_tokens=long_tokens, long_boost=long_boost
    )
    stream = Stream(small_corpus, config)
    table = ChunkTable(small_corpus, "train", context, long_tokens)
    sizes, chunks = table.part_tokens(), np.diff(table.part_starts)
    # Chunks of a part come equally often, so a cycle gives their mean times its places.
    tokens = stream._mixture.counts * sizes / np.maximum(chunks, 1)
    for source, name in enumerate(stream._names):
        short, long = 2 * source, 2 * source + 1
        share = tokens[[short, long]].sum() / tokens.sum()
        wanted = (weights or {name: sizes[[short, long]].sum() / sizes.sum()}).get(name, 0)
        assert share == pytest.approx(wanted, rel=0.01)
        if tokens[long] and tokens[short]:
            epochs = tokens / np.maximum(sizes, 1)
            assert epochs[long] / epochs[short] == pytest.approx(long_boost, rel=0.01)
