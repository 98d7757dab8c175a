"""Places: quick calls wait for each other, slow ones are not waited for."""

import asyncio

import pytest

from services.dispatchers.webhook import places
from services.dispatchers.webhook.places import SLOW, Places


class Held:
    """Calls that last until they are let go."""

    def __init__(self, limit: int) -> None:
        self.seconds = 0.0
        self.places = Places(limit, lambda: self.seconds)
        self.go = asyncio.Event()

    def begin(self) -> "asyncio.Task[bool]":
        return asyncio.create_task(self._call())

    async def _call(self) -> bool:
        async with self.places.one() as has_place:
            if has_place:
                await self.go.wait()
            return has_place


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_whoever_finds_only_quick_calls_waits_for_a_place() -> None:
    held = Held(2)
    calls = [held.begin() for _ in range(5)]
    await settled()
    held.go.set()
    assert await asyncio.gather(*calls) == [True] * 5


async def test_whoever_finds_slow_calls_is_told_at_once() -> None:
    held = Held(2)
    calls = [held.begin() for _ in range(2)]
    await settled()
    held.seconds += SLOW + 0.1
    assert await held.begin() is False
    held.go.set()
    assert await asyncio.gather(*calls) == [True, True]
    assert await held.begin() is True


async def test_one_slow_call_among_quick_ones_is_no_reason_to_give_up() -> None:
    held = Held(3)
    slow = held.begin()
    await settled()
    held.seconds += SLOW + 0.1
    quick = [held.begin() for _ in range(2)]
    await settled()
    waiting = held.begin()
    await settled()
    assert not waiting.done()
    held.go.set()
    assert await asyncio.gather(slow, *quick, waiting) == [True] * 4


async def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PATIENCE", 0.01)
    held = Held(1)
    first = held.begin()
    await settled()
    assert await held.begin() is False
    held.go.set()
    assert await first is True


async def test_a_place_is_given_back_by_whatever_fails() -> None:
    held = Held(1)
    with pytest.raises(ValueError, match="x"):
        async with held.places.one():
            raise ValueError("x")
    cancelled = held.begin()
    await settled()
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    held.go.set()
    assert await held.begin() is True
