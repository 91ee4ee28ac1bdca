import dataclasses
from itertools import islice

import numpy as np
import pytest
import torch

from modernbert.base.errors import ConfigError
from modernbert.batch import Layout
from modernbert.data.mixture import tempered
from modernbert.data.stream import StreamState
from modernbert.optim.schedule import BatchWarmup, LengthWarmup, Schedule
from modernbert.train.feed import Progress, check_deal, feed, stream_of
from tests.corpora import make_corpus
from tests.runs import phase as phase_of
from tests.runs import small_run


def same(ours, theirs):
    assert (ours.step, ours.num_tokens, ours.fill, ours.lr, ours.after) == (
        theirs.step,
        theirs.num_tokens,
        theirs.fill,
        theirs.lr,
        theirs.after,
    )
    for a, b in zip(ours.batches, theirs.batches, strict=True):
        assert torch.equal(a.packed.ids, b.packed.ids)
        assert torch.equal(a.packed.layout.cu_seqlens, b.packed.layout.cu_seqlens)
        assert torch.equal(a.positions, b.positions)
        assert torch.equal(a.targets, b.targets)


@pytest.fixture(scope="module")
def works(config, corpus):
    return list(feed(config, corpus, Progress()))


def test_every_phase_is_taken_to_its_end(works, config):
    assert [work.step for work in works] == list(range(1, len(works) + 1))
    for number, phase in enumerate(config.phases):
        inside = [work for work in works if work.phase is phase]
        seen = [work.num_tokens for work in inside]
        assert sum(seen[:-1]) < phase.tokens <= sum(seen)
        assert [work.ends_phase for work in inside] == [False] * (len(inside) - 1) + [True]
        assert inside[-1].after.phase == number + 1
    assert works[-1].after.tokens == sum(work.num_tokens for work in works)
    assert works[-1].after.phase == len(config.phases)


def test_chunks_are_as_long_as_their_phase_allows(works):
    for work in works:
        longest = max(batch.packed.layout.max_seqlen for batch in work.batches)
        assert longest <= work.phase.context_length
    assert max(b.packed.layout.max_seqlen for w in works for b in w.batches) > 32


def test_the_rate_is_the_schedules_at_the_middle_of_a_step(works, config):
    first, second = works[0], works[1]
    warmup = config.phases[0].schedule.warmup_tokens
    assert first.lr == 3e-3 * first.num_tokens / 2 / warmup
    assert second.lr == pytest.approx(3e-3 * (first.num_tokens + second.num_tokens / 2) / warmup)
    assert all(work.lr == 3e-3 for work in works if work.phase.name == "context")
    falling = [work.lr for work in works if work.phase.name == "decay"]
    assert falling == sorted(falling, reverse=True)
    assert 0.0 < falling[-1] < 0.1 * 3e-3


def test_the_share_of_places_that_hold_a_token_is_told(works):
    for work in works:
        places = len(work.batches) * work.phase.row_tokens
        assert work.fill == work.num_tokens / places
        assert work.num_tokens == sum(batch.packed.ids.numel() for batch in work.batches)


@pytest.mark.parametrize("at", [0, 5, 12, 13, 25, 30])
def test_a_feed_goes_on_from_any_step(works, config, corpus, at):
    rest = feed(config, corpus, works[at].after)
    for ours, theirs in zip(rest, works[at + 1 :], strict=True):
        same(ours, theirs)


def test_a_finished_run_has_no_work(works, config, corpus):
    assert list(feed(config, corpus, works[-1].after)) == []


def test_two_ranks_take_exactly_the_rows_of_one(works, config, corpus):
    ranks = [feed(config, corpus, Progress(), rank, 2) for rank in (0, 1)]
    for alone, *shared in zip(works, *ranks, strict=True):
        mixed = [batch for pair in zip(*(w.batches for w in shared), strict=True) for batch in pair]
        for each in shared:
            same(dataclasses.replace(alone, batches=each.batches), each)
        same(alone, dataclasses.replace(shared[0], batches=tuple(mixed)))


def test_a_batch_grows_while_it_warms_up(config, corpus):
    growing = dataclasses.replace(
        config.phases[0],
        tokens=20_000,
        batch_tokens=4 * 256,
        batch_warmup=BatchWarmup(first_tokens=256, warmup_tokens=6000),
        schedule=Schedule(),
    )
    run = dataclasses.replace(config, phases=(growing,))
    sizes = [len(work.batches) for work in feed(run, corpus, Progress())]
    assert sizes == sorted(sizes)
    assert set(sizes) == {1, 2, 3, 4}


def test_lengths_grow_and_nothing_else_changes(works, config, corpus):
    growth = LengthWarmup(first_length=8, warmup_tokens=4000)
    growing = dataclasses.replace(config.phases[0], length_warmup=growth)
    run = dataclasses.replace(config, phases=(growing,))
    found = list(feed(run, corpus, Progress()))
    longest = [max(batch.packed.layout.max_seqlen for batch in work.batches) for work in found]
    assert longest == sorted(longest)
    assert {*longest} == {8, 16, 32}
    for work, usual in zip(found, works, strict=False):
        plain = zip(work.batches, work.rows, strict=True)
        whole = [replace_layout(batch, rows.lengths) for batch, rows in plain]
        same(dataclasses.replace(work, batches=tuple(whole)), usual)
    for ours, theirs in zip(feed(run, corpus, found[4].after), found[5:], strict=True):
        same(ours, theirs)


def replace_layout(batch, lengths):
    packed = dataclasses.replace(batch.packed, layout=Layout.of(lengths))
    return dataclasses.replace(batch, packed=packed)


def test_a_causal_phase_reads_the_same_rows_and_hides_nothing(works, config, corpus):
    first = dataclasses.replace(config.phases[0], objective="causal")
    run = dataclasses.replace(config, phases=(first, *config.phases[1:]))
    for work, usual in zip(feed(run, corpus, Progress()), works, strict=True):
        is_causal = work.phase is first
        assert work.phase.guessed_share == (1.0 if is_causal else 0.3)
        for batch, other, rows in zip(work.batches, usual.batches, work.rows, strict=True):
            layout = batch.packed.layout
            assert (layout.is_causal, layout.lengths()) == (is_causal, rows.lengths)
            assert torch.equal(batch.packed.ids, other.packed.ids) != is_causal
            assert np.array_equal(batch.packed.ids.numpy(), rows.ids) == is_causal


def test_phases_see_other_orders_and_other_masks(works):
    rows = {work.phase.name: work.rows[0].ids[:30].tolist() for work in reversed(works)}
    assert rows["context"] != rows["decay"]


def test_every_hidden_token_can_become_the_mask(config, corpus):
    bare = dataclasses.replace(config.phases[0], mask_share=1.0, random_share=0.0)
    run = dataclasses.replace(config, phases=(bare,))
    (batch, *_) = next(feed(run, corpus, Progress())).batches
    assert set(batch.packed.ids[batch.positions].tolist()) == {corpus.tokenizer.mask_id}


def test_the_seed_decides_order_and_masks(works, config, corpus):
    other = next(feed(dataclasses.replace(config, seed=18), corpus, Progress()))
    assert not np.array_equal(other.rows[0].ids, works[0].rows[0].ids)
    assert not torch.equal(other.batches[0].positions, works[0].batches[0].positions)


def test_a_feed_is_lazy(config, corpus):
    endless = dataclasses.replace(config.phases[0], tokens=10**15)
    run = dataclasses.replace(config, phases=(endless,))
    assert [work.step for work in islice(feed(run, corpus, Progress()), 2)] == [1, 2]


def test_boosts_and_temperature_are_realised_by_tokens(tmp_path):
    corpus = make_corpus(tmp_path, {"books": 60, "code": 20, "web": 20})
    mixed = phase_of("decay", source_temperature=0.5, source_boosts={"code": 3.0})
    stream = stream_of(small_run(corpus.folder), corpus, mixed)
    seen = dict.fromkeys(corpus.sources("train"), 0)
    state = StreamState()
    for _ in range(150):
        step = stream.take(state, 8)
        state = step.state
        for row in step.rows:
            lengths = dict(zip(row.samples.tolist(), row.lengths, strict=True))
            for sample, length in lengths.items():
                seen[stream.name_of(sample).split("/")[0]] += length
    wanted = tempered(corpus.token_counts("train"), 0.5, {"code": 3.0})
    assert wanted["code"] > 2 * wanted["web"]
    for name, tokens in seen.items():
        assert tokens / sum(seen.values()) == pytest.approx(wanted[name], rel=0.01)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"source_boosts": {"boks": 2.0}}, "boosts 'boks', which is not in the corpus: it holds b"),
        ({"source_boosts": {"books": -2.0}}, "source_boosts -2: give finite numbers of at least 0"),
        ({"source_temperature": -1.0}, "source_temperature -1 and source_boosts none: give finite"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(tmp_path, fields, message):
    corpus = make_corpus(tmp_path, {"books": 20})
    with pytest.raises(ConfigError, match=message):
        stream_of(small_run(corpus.folder), corpus, phase_of("p", **fields))


def test_what_cannot_be_dealt_is_said_of_all_phases_with_a_way_out():
    wide = phase_of("wide", row_tokens=512, batch_tokens=512, context_length=256)
    long = phase_of("long", row_tokens=512, batch_tokens=512, context_length=400)
    slow = phase_of(
        "slow",
        row_tokens=256,
        batch_tokens=512,
        batch_warmup=BatchWarmup(first_tokens=256, warmup_tokens=1000),
    )
    check_deal((wide, long, slow), 1)
    with pytest.raises(ConfigError) as caught:
        check_deal((wide, phase_of("fine"), long, slow), 2)
    first, second, third = str(caught.value).split("; ")
    assert first == (
        "phase wide: a batch of 1 row (batch_tokens 512 by row_tokens 512) cannot be dealt evenly "
        "to 2 processes: start 1, or give --phases.0.row-tokens 256"
    )
    assert second.endswith("or give --phases.2.batch-tokens 1024")
    assert third.endswith("give --phases.3.batch-warmup.first-tokens 512 or more")
    mended = (
        dataclasses.replace(wide, row_tokens=256),
        dataclasses.replace(long, batch_tokens=1024),
        dataclasses.replace(slow, batch_warmup=BatchWarmup(first_tokens=512, warmup_tokens=1000)),
    )
    check_deal(mended, 2)
