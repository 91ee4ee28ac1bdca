import asyncio
import threading
import time

import numpy as np
import pytest
import torch

from modernbert.base.errors import ConfigError, DataError, MachineError, NumbersError
from modernbert.infer.abilities import abilities_of
from modernbert.infer.engine import Engine
from modernbert.infer.shared import AsyncEngine
from modernbert.infer.tuning import Fixed, Tuning, _best, tuned
from modernbert.infer.work import read_out
from tests.sentence_folders import made
from tests.served import TUNING, engine_of, models

TEXTS = ["the packed batch", "every token keeps its place", "a window of tokens " * 60, "x"]
ASKED = {
    "words": [("embed", (TEXTS,), {"normalize": True}), ("fill", (["the [MASK] keeps"],), {})],
    "dense": [("embed", (TEXTS,), {"prompt": "query", "dimensions": 8, "numbers": "int8"})],
    "sparse": [("sparse", (TEXTS,), {})],
    "late": [
        ("token_vectors", (TEXTS,), {"is_query": True}),
        ("rerank", ("the place", TEXTS), {}),
    ],
    "labels": [("classify", (TEXTS,), {})],
    "pairs": [("rerank", ("the place", TEXTS), {"is_raw": True}), ("classify", (TEXTS,), {})],
    "tags": [("tag", (TEXTS,), {})],
    "answers": [("answer", ([("what", text) for text in TEXTS],), {"number": 2})],
    "choices": [("choose", (TEXTS[:1], [TEXTS[1:]]), {})],
}


def plain(value, *, is_near=False):
    """Lay out what may be compared; near numbers are equal to those that are."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), is_near=is_near)
    if isinstance(value, list | tuple):
        return [plain(each, is_near=is_near) for each in value]
    if isinstance(value, float):
        return pytest.approx(value, abs=2e-4) if is_near else value
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is None:
        return value
    return {name: plain(getattr(value, name), is_near=is_near) for name in fields}


@pytest.mark.parametrize("name", ASKED)
def test_answers_are_those_of_the_engine(name):
    engine = Engine(models()[name])

    async def go(shared):
        calls = [getattr(shared, each)(*given, **more) for each, given, more in ASKED[name]]
        return await asyncio.gather(*calls)

    with engine_of(models()[name]) as shared:
        assert shared.abilities == engine.abilities
        assert {each for each, _, _ in ASKED[name]} <= {*engine.abilities}
        found = asyncio.run(go(shared))
    for (each, given, more), answer in zip(ASKED[name], found, strict=True):
        right = getattr(engine, each)(*given, **more)
        if each == "embed":
            assert answer.dtype == right.dtype
            np.testing.assert_allclose(answer, right, atol=1e-4 if right.dtype.kind == "f" else 1)
        else:
            assert plain(answer) == plain(right, is_near=True)


def test_what_a_model_can_do_is_known_from_its_files():
    assert {name: abilities_of(model) for name, model in models().items()} == {
        "words": ("embed", "fill"),
        "dense": ("embed",),
        "sparse": ("sparse", "fill"),
        "late": ("token_vectors", "rerank"),
        "labels": ("classify",),
        "pairs": ("rerank", "classify"),
        "tags": ("tag",),
        "answers": ("answer",),
        "choices": ("choose",),
    }


def test_many_who_ask_at_once_get_their_own_answers_from_common_batches():
    model, batches = models()["dense"], []
    rng = np.random.default_rng(0)
    texts = [" ".join(["token"] * int(n)) + f" {n}" for n in rng.integers(1, 300, 200)]
    right = Engine(model).embed(texts)

    async def go(shared):
        return await asyncio.gather(*(shared.embed([text]) for text in texts))

    with engine_of(model, watch=lambda size, tokens: batches.append((size, tokens))) as shared:
        found = asyncio.run(go(shared))
        assert shared.waiting == (0, 0)
    np.testing.assert_allclose(np.concatenate(found), right, atol=1e-4)
    assert sum(size for size, _ in batches) == 200
    assert len(batches) < 150
    assert all(size == 1 or tokens <= TUNING.batch_tokens for size, tokens in batches)


def test_whoever_stops_waiting_is_not_computed():
    computed, begun, go_on = [], threading.Event(), threading.Event()

    def watch(size, tokens):
        computed.append(tokens)
        begun.set()
        go_on.wait(10)

    async def go(shared):
        first = asyncio.create_task(shared.embed(["a"]))
        await asyncio.to_thread(begun.wait, 10)
        gone = asyncio.create_task(shared.embed(["the packed batch keeps every token"] * 9))
        while shared.waiting[0] < 9:
            await asyncio.sleep(0.01)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert shared.waiting == (0, 0)
        go_on.set()
        await first
        await shared.embed(["a"])
        assert shared.room.taken == 0

    with engine_of(models()["dense"], watch=watch) as shared:
        asyncio.run(go(shared))
    assert len(computed) == 2


def test_one_documents_fault_is_not_that_of_others(monkeypatch):
    model = models()["dense"]
    wrong = model.tokenizer.encode("wrong").tolist()

    def faulty(model, readout, batch, read):
        if any(each.ids.tolist() == wrong for each in read):
            raise RuntimeError("this one is wrong")
        return read_out(model, readout, batch, read)

    monkeypatch.setattr("modernbert.infer.lanes.read_out", faulty)

    async def go(shared):
        calls = [shared.embed([text]) for text in ("right", "wrong", "right too")]
        return await asyncio.gather(*calls, return_exceptions=True)

    with engine_of(model) as shared:
        one, two, three = asyncio.run(go(shared))
    assert one.shape == three.shape == (1, 32)
    assert str(two) == "this one is wrong"


def test_what_is_no_number_is_refused():
    broken = made(None)
    with torch.no_grad():
        broken.encoder.final_norm.weight.fill_(torch.nan)
    with pytest.raises(NumbersError, match="gives NaN or Inf for document 0: its weights are dam"):
        Engine(broken).embed(["a", "b c d"])
    with engine_of(broken) as shared, pytest.raises(NumbersError, match="gives NaN or Inf"):
        asyncio.run(shared.embed(["a"]))
    with torch.no_grad():
        broken.encoder.final_norm.weight.fill_(0.0)
    with pytest.raises(NumbersError, match="gives text 0 a vector of zeros, which nothing can be"):
        Engine(broken).embed(["a"])


def test_streams_keep_order_and_take_no_more_than_they_compute():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield f"text {number}"

    async def go(shared):
        found, ahead = [], 0
        async for vector in shared.stream(shared.embed, items(), at_once=8):
            found.append(vector)
            ahead = max(ahead, len(taken) - len(found))
        return found, ahead

    with engine_of(models()["dense"]) as shared:
        found, ahead = asyncio.run(go(shared))
    right = Engine(models()["dense"])
    np.testing.assert_allclose(found, right.embed([f"text {n}" for n in range(100)]), atol=1e-4)
    assert ahead <= 16
    streamed = right.stream(right.embed, items(), at_once=8)
    next(streamed)
    assert len(taken) == 108


def test_streams_read_what_comes_later_too():
    async def later():
        for number in range(5):
            await asyncio.sleep(0)
            yield f"text {number}"

    async def go(shared):
        return [vector async for vector in shared.stream(shared.embed, later(), at_once=2)]

    with engine_of(models()["dense"]) as shared:
        assert len(asyncio.run(go(shared))) == 5


def test_errors_of_texts_reach_whoever_asked():
    async def go(shared):
        with pytest.raises(ConfigError, match="no prompt 'x'"):
            await shared.embed(["a"], prompt="x")
        with pytest.raises(DataError, match="holds the id 512, and this model's tokenizer has ids"):
            await shared.embed([[5, 512]])
        with pytest.raises(ConfigError, match="this model gives no sparse vectors: make one"):
            await shared.sparse(["a"])
        assert shared.room.taken == 0

    with engine_of(models()["dense"]) as shared:
        asyncio.run(go(shared))
    with pytest.raises(MachineError, match="the engine is closed: open another one"):
        asyncio.run(shared.embed(["a"]))


def test_a_closing_engine_computes_what_waits(tmp_path):
    folder = tmp_path / "model"
    models()["dense"].save(folder)

    async def go():
        async with AsyncEngine.load(folder, device="cpu") as shared:
            assert shared.tuning.threads >= 1
            waiting = asyncio.create_task(shared.embed(["a", "b"]))
            await asyncio.sleep(0)
        return await waiting

    assert asyncio.run(go()).shape == (2, 32)


def test_fewer_threads_are_taken_where_they_are_much_faster():
    rates = {(2, 128): 80.0, (2, 256): 95.0, (2, 512): 100.0, (1, 128): 110.0}
    assert _best(rates, 2) == Tuning(threads=2, batch_tokens=256, seconds_a_token=1 / 95)
    assert _best(rates | {(1, 256): 125.0}, 2).threads == 1


def test_tuning_takes_the_smallest_batch_that_is_nearly_the_fastest():
    start = time.perf_counter()
    found = tuned(models()["dense"], 2)
    assert time.perf_counter() - start < 5
    assert found.threads in (1, 2)
    assert torch.get_num_threads() == 1
    assert found.batch_tokens >= 128
    assert found.seconds_a_token > 0
    told = tuned(models()["dense"], 2, Fixed(threads=1, batch_tokens=300))
    assert (told.threads, told.batch_tokens) == (1, 300)
    assert told.seconds_a_token > 0
    assert Tuning(threads=2, batch_tokens=1024, seconds_a_token=1e-4).spelled == (
        "2 threads, batches of 1,024 tokens, 10,000 tokens/s"
    )
