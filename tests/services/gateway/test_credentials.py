"""Who is looked up, how often, and how long it is remembered."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from libs.wire import Problem
from services.gateway import credentials as module
from services.gateway.credentials import Credentials
from services.gateway.translation import READ, SEND, Demand, Token
from tests.services.gateway.doubles import API_KEY, PEPPER, SECRET, MemoryRepository


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def credentials(repository: MemoryRepository, clock: Clock) -> Credentials:
    return Credentials(
        repository, pepper=PEPPER, remember=timedelta(seconds=25), now=lambda: datetime.now(UTC), clock=clock
    )


def demand(value: str = API_KEY, scope: str = SEND) -> Demand:
    return Demand((Token("native", value),), scope)


async def test_concurrent_calls_share_a_look_up() -> None:
    repository = MemoryRepository()
    known = credentials(repository, Clock())
    found = await asyncio.gather(*(known.verified(demand()) for _ in range(50)))
    assert {one.tenant.name for (one,) in found} == {"demo"}
    assert repository.lookups <= 2


async def test_what_nobody_has_is_remembered_for_a_moment_only() -> None:
    repository, clock = MemoryRepository(), Clock()
    known = credentials(repository, clock)
    made_up = demand(f"key_new.{SECRET}")
    for _ in range(3):
        with pytest.raises(Problem):
            await known.verified(made_up)
    assert repository.lookups == 1
    repository.known["key_new"] = repository.known["key_test"]
    clock.seconds += module.UNKNOWN_SECONDS + 0.1
    assert (await known.verified(made_up))[0].tenant.name == "demo"


async def test_a_flood_of_made_up_prefixes_neither_grows_nor_displaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REMEMBERED", 5)
    repository = MemoryRepository()
    known = credentials(repository, Clock())
    await known.verified(demand())
    for number in range(20):
        with pytest.raises(Problem):
            await known.verified(demand(f"key_{number}.{SECRET}"))
    before = repository.lookups
    await known.verified(demand(scope=READ))
    assert repository.lookups == before


async def test_what_is_no_token_is_not_looked_up() -> None:
    repository = MemoryRepository()
    known = credentials(repository, Clock())
    for value in ("", ".", "key_test", f".{SECRET}", f"key test.{SECRET}", "\udcff" * 40, f"key_test.{SECRET}\0"):
        with pytest.raises(Problem) as caught:
            await known.verified(demand(value))
        assert caught.value.status == 401
    assert repository.lookups == 0


def test_secrets_do_not_show_themselves() -> None:
    repository = MemoryRepository()
    assert SECRET not in repr(demand())
    assert "digest" not in repr(repository.known["key_test"])
