import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from modernbert.base.errors import ConfigError, DataError
from modernbert.data.chunks import ChunkTable
from modernbert.data.stream import Stream, StreamConfig, StreamState
from tests.corpora import corpus_of_lengths, tokenizer

CONFIG = StreamConfig(context_length=64, micro_batch_tokens=256, seed=1, purpose="test")


def steps(stream, count, num_rows=3, state=None, rank=0, world_size=1):
    found = []
    state = state or StreamState()
    for _ in range(count):
        found.append(stream.take(state, num_rows, rank, world_size))
        state = found[-1].state
    return found


def chunks_of(rows):
    ends = np.cumsum(rows.lengths)
    return dict(zip(rows.samples.tolist(), np.split(rows.ids, ends[:-1]), strict=True))


def assert_same(a, b):
    assert (a.num_tokens, a.capacity, a.state) == (b.num_tokens, b.capacity, b.state)
    for mine, other in zip(a.rows, b.rows, strict=True):
        assert mine.lengths == other.lengths
        np.testing.assert_array_equal(mine.ids, other.ids)
        np.testing.assert_array_equal(mine.samples, other.samples)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_token_comes_once_an_epoch(corpus, world_size):
    stream = Stream(corpus, CONFIG)
    seen, names = {}, {}
    states = [StreamState()] * world_size
    while not set(range(2 * stream.chunks_per_epoch)) <= seen.keys():
        for rank in range(world_size):
            step = stream.take(states[rank], 5, rank, world_size)
            states[rank] = step.state
            for rows in step.rows:
                chunks = chunks_of(rows)
                assert not chunks.keys() & seen.keys()
                seen |= chunks
        assert len(set(states)) == 1
    for epoch in range(2):
        first = epoch * stream.chunks_per_epoch
        names = {stream.name_of(i): seen[i] for i in range(first, first + stream.chunks_per_epoch)}
        assert len(names) == stream.chunks_per_epoch
        check_all_tokens(corpus, names)


def check_all_tokens(corpus, names):
    for document, length in enumerate(corpus.lengths("train")):
        where = corpus.name_of("train", document)
        start, parts = 0, []
        while start < length:
            (name,) = [n for n in names if n.startswith(f"{where}, tokens {start}-")]
            parts.append(names[name][1:-1])
            start += len(parts[-1])
        np.testing.assert_array_equal(
            np.concatenate(parts), corpus.read("train", document, 0, int(length))
        )
        sizes = [len(part) for part in parts]
        assert all(size == max(sizes) for size in sizes[:-1])
        assert len(sizes) == -(-length // (CONFIG.context_length - 2))


def test_chunks_are_framed_and_rows_hold(corpus):
    for step in steps(Stream(corpus, CONFIG), 10):
        assert step.capacity == 3 * 256
        assert step.num_tokens == sum(len(rows.ids) for rows in step.rows)
        for rows in step.rows:
            assert len(rows.ids) == sum(rows.lengths) <= 256
            assert len(rows.samples) == len(rows.lengths)
            for chunk in chunks_of(rows).values():
                assert len(chunk) <= 64
                assert (chunk[0], chunk[-1]) == (tokenizer().cls_id, tokenizer().sep_id)


@pytest.mark.parametrize("weights", [None, {"books": 1.0, "web": 2.0}])
def test_taking_twice_gives_the_same(corpus, weights):
    config = replace(CONFIG, weights=weights)
    first = steps(Stream(corpus, config), 5)
    for a, b in zip(first, steps(Stream(corpus, config), 5), strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("long", [{}, {"long_tokens": 80, "long_boost": 3.0}])
@pytest.mark.parametrize("weights", [None, {"books": 1.0, "web": 2.0}])
def test_a_resumed_stream_goes_on_as_if_it_had_not_stopped(corpus, weights, long):
    config = replace(CONFIG, weights=weights, **long)
    through = steps(Stream(corpus, config), 10)
    kept = json.loads(json.dumps(asdict(through[4].state)))
    state = StreamState(kept["cursor"], tuple(kept["carried"]))
    for a, b in zip(through[5:], steps(Stream(corpus, config), 5, state=state), strict=True):
        assert_same(a, b)


def test_ranks_share_the_rows_that_one_alone_would_take(corpus):
    stream = Stream(corpus, CONFIG)
    alone = steps(stream, 4, num_rows=7)
    for world_size in (2, 3):
        for rank in range(world_size):
            shared = steps(stream, 4, num_rows=7, rank=rank, world_size=world_size)
            for a, b in zip(alone, shared, strict=True):
                assert_same(replace(a, rows=a.rows[rank::world_size]), b)


def test_what_found_no_room_comes_in_the_next_step(corpus):
    stream = Stream(corpus, replace(CONFIG, micro_batch_tokens=64))
    before = StreamState()
    waited = {}
    for step in steps(stream, 200, num_rows=2):
        placed = {position for rows in step.rows for position in rows.samples.tolist()}
        if before.carried:
            assert before.carried[0] in placed
        assert placed.isdisjoint(step.state.carried)
        waited = {p: waited.get(p, 0) + 1 for p in step.state.carried}
        before = step.state
    assert max(waited.values()) < 120


def test_far_ahead_costs_no_more(corpus):
    stream = Stream(corpus, CONFIG)
    far = StreamState(cursor=10**15)
    assert_same(stream.take(far, 2), stream.take(far, 2))
    assert stream.take(far, 2).rows[0].samples.min() >= 10**15


def test_seeds_and_purposes_give_other_orders(corpus):
    orders = []
    for config in (CONFIG, replace(CONFIG, seed=2), replace(CONFIG, purpose="other")):
        stream = Stream(corpus, config)
        orders.append([stream.name_of(i) for i in range(20)])
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]
    later = [
        Stream(corpus, CONFIG).name_of(i + Stream(corpus, CONFIG).chunks_per_epoch)
        for i in range(20)
    ]
    assert orders[0] != later


def test_weights_are_realised_by_tokens(corpus):
    weights = {"books": 2.0, "code": 1.0, "web": 1.0}
    stream = Stream(corpus, replace(CONFIG, weights=weights))
    table = ChunkTable(corpus, "train", 64)
    tokens = dict.fromkeys(weights, 0)
    positions = np.arange(40_000)
    chunks = stream._chunks_at(positions)
    sources = np.searchsorted(table.source_starts, chunks, side="right") - 1
    for source, name in enumerate(corpus.sources("train")):
        tokens[name] = int(table.lengths(chunks[sources == source]).sum())
    for name, weight in weights.items():
        assert abs(tokens[name] / sum(tokens.values()) - weight / 4) < 0.01 * weight / 4


def test_weighted_sources_are_read_evenly(corpus):
    stream = Stream(corpus, replace(CONFIG, weights={"books": 1.0, "web": 3.0}))
    names, counts = np.unique([stream.name_of(i) for i in range(800)], return_counts=True)
    for source in ("books", "web"):
        of_source = counts[[name.startswith(source) for name in names]]
        assert of_source.max() - of_source.min() <= 1
    assert not any(name.startswith("code") for name in names)


def test_a_position_holds_the_same_chunk_whatever_is_asked_beside_it(corpus):
    """One source may be in its second epoch where the next one's first is asked for."""
    stream = Stream(corpus, replace(CONFIG, weights={"books": 0.5, "code": 0.1, "web": 0.4}))
    alone = np.concatenate([stream._chunks_at(np.array([place])) for place in range(1200)])
    for start in range(0, 1200, 25):
        for stop in range(start + 25, min(start + 400, 1200), 25):
            together = stream._chunks_at(np.arange(start, stop))
            np.testing.assert_array_equal(together, alone[start:stop])


def test_long_documents_keep_their_tokens(corpus):
    """Numbered anew, each chunk is still the text of the document that its name says."""
    config = replace(CONFIG, long_tokens=80, long_boost=4.0)
    stream = Stream(corpus, config)
    lengths, names = corpus.lengths("train"), {}
    for document in range(len(lengths)):
        names[corpus.name_of("train", document)] = document
    times = np.zeros(len(lengths))
    for step in steps(stream, 60):
        for rows in step.rows:
            for position, chunk in chunks_of(rows).items():
                where, _, stretch = stream.name_of(position).partition(", tokens ")
                first, last = map(int, stretch.split("-"))
                whole = corpus.read("train", names[where], 0, 10**9)
                np.testing.assert_array_equal(chunk[1:-1], whole[first : last + 1])
                times[names[where]] += 1 / -(-len(whole) // 62)
    assert times[lengths >= 80].mean() > 2 * times[lengths < 80].mean()


def test_long_shares_are_realised_by_tokens(corpus):
    config = replace(CONFIG, weights={"books": 0.5, "web": 0.5}, long_tokens=150, long_boost=3.0)
    stream, table = Stream(corpus, config), ChunkTable(corpus, "train", 64, 150)
    chunks = stream._chunks_at(np.arange(40_000))
    part = np.searchsorted(table.part_starts, chunks, side="right") - 1
    seen = np.bincount(part, weights=table.lengths(chunks), minlength=6).reshape(-1, 2)
    there = table.part_tokens().reshape(-1, 2) * (1.0, 3.0)
    assert corpus.sources("train")[1] == "code"
    assert not seen[1].any()
    for source in (0, 2):
        assert seen[source].sum() / seen.sum() == pytest.approx(0.5, rel=0.01)
        wanted = there[source] / there[source].sum()
        np.testing.assert_allclose(seen[source] / seen[source].sum(), wanted, rtol=0.01)


def test_a_boost_of_one_sees_all_alike(corpus):
    stream = Stream(corpus, replace(CONFIG, long_tokens=80))
    positions = np.arange(stream.chunks_per_epoch * 40)
    visits = np.bincount(stream._chunks_at(positions), minlength=stream.chunks_per_epoch)
    assert visits.max() - visits.min() <= 2


def test_a_name_says_where_the_tokens_are(corpus):
    name = Stream(corpus, CONFIG).name_of(7)
    assert name.split(", tokens ")[0].count("/") == 2
    assert "/train-0000" in name
    assert "/document " in name


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"context_length": 257}, ConfigError, "257 tokens, but a micro-batch holds 256"),
        ({"context_length": 2}, ConfigError, "2 tokens has no room for text"),
        ({"weights": {"book": 1.0}}, ConfigError, "'book', which is not in the corpus"),
        ({"split": "test"}, DataError, "no split 'test'"),
        (
            {"long_tokens": 10**6, "long_boost": 2.0},
            ConfigError,
            r"no document of the mixture has long_tokens 1000000; the longest of the corpus "
            r"has \d+: lower long_tokens, or leave it out",
        ),
        ({"long_tokens": 50, "weights": {"book": 1.0}}, ConfigError, "'book', which is not in"),
    ],
)
def test_what_does_not_fit_is_refused(corpus, change, error, message):
    with pytest.raises(error, match=message):
        Stream(corpus, replace(CONFIG, **change))


def test_a_split_without_documents_is_refused(tmp_path):
    corpus = corpus_of_lengths(tmp_path / "c", [5])
    with pytest.raises(DataError, match="no document in the split 'heldout'"):
        Stream(corpus, replace(CONFIG, split="heldout"))


def test_a_corpus_of_one_word_still_streams(tmp_path):
    stream = Stream(corpus_of_lengths(tmp_path / "c", [1]), CONFIG)
    (step,) = steps(stream, 1, num_rows=1)
    assert step.num_tokens == 255


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Documents from a few tokens to tens of thousands, as unlike as those on a disk."""
    lengths = np.random.default_rng(0).lognormal(7.0, 1.3, 2500).astype(int) + 1
    return corpus_of_lengths(tmp_path_factory.mktemp("mixed") / "c", lengths.tolist())


@pytest.mark.parametrize(
    ("context_length", "micro_batch_tokens", "num_rows", "fill"),
    [
        (1024, 98_304, 6, 0.999),
        (8192, 98_304, 6, 0.999),
        (512, 16_384, 1, 0.99),
        (1024, 16_384, 1, 0.99),
        (8192, 16_384, 1, 0.99),
    ],
)
def test_rows_are_full(mixed, context_length, micro_batch_tokens, num_rows, fill):
    config = StreamConfig(context_length, micro_batch_tokens, seed=1, purpose="fill")
    count = max(10, 100 // num_rows)
    # A rank beyond the rows packs all and reads none.
    found = steps(Stream(mixed, config), count, num_rows, rank=num_rows, world_size=num_rows + 1)
    assert sum(s.num_tokens for s in found) / sum(s.capacity for s in found) >= fill
    assert max(len(step.state.carried) for step in found) < 1000
