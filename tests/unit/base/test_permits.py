import asyncio

import pytest

from modernbert.base.permits import Permits


def test_all_that_are_wanted_are_taken_or_none():
    permits = Permits(5)
    assert permits.take(3)
    assert not permits.take(3)
    assert permits.taken == 3
    assert permits.take(2)
    permits.give_back(5)
    assert permits.taken == 0


def test_those_who_wait_get_them_in_their_order():
    async def go():
        permits, order = Permits(4), []

        async def want(name, number):
            async with permits.held(number):
                order.append(name)
                await asyncio.sleep(0)

        async with permits.held(3):
            waiting = [
                asyncio.create_task(want(name, number))
                for name, number in (("large", 4), ("small", 1))
            ]
            await asyncio.sleep(0.01)
            # One would be there, but somebody was first.
            assert order == []
            assert not permits.take(1)
        await asyncio.gather(*waiting)
        assert (order, permits.taken) == (["large", "small"], 0)

    asyncio.run(go())


def test_whoever_stops_waiting_keeps_nobody_waiting():
    async def go():
        permits = Permits(2)
        assert permits.take(1)
        two, one = permits.held(2), permits.held(1)
        large = asyncio.create_task(two.__aenter__())
        small = asyncio.create_task(one.__aenter__())
        await asyncio.sleep(0.01)
        assert not small.done()
        large.cancel()
        with pytest.raises(asyncio.CancelledError):
            await large
        await asyncio.wait_for(small, 1)
        assert permits.taken == 2

    asyncio.run(go())


def test_more_than_there_are_count_as_all():
    async def go():
        permits = Permits(2)
        async with permits.held(9):
            assert permits.taken == 2
        assert permits.taken == 0

    asyncio.run(go())
