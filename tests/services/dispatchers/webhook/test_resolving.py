"""Looking names up."""

import asyncio
import socket
import threading
from typing import Any

import pytest

from services.dispatchers.webhook import resolving
from services.dispatchers.webhook.resolving import ThreadPerLookup


async def test_it_finds_what_the_system_finds() -> None:
    found = await ThreadPerLookup().resolve("localhost", 8025, socket.AF_UNSPEC)
    assert {each["host"] for each in found} <= {"127.0.0.1", "::1"}
    assert found
    assert {each["port"] for each in found} == {8025}


@pytest.mark.parametrize("name", ["nobody.invalid", "a" * 70 + ".example.com", "a..b"])
async def test_what_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fail(*given: Any, **more: Any) -> None:
        raise socket.gaierror("no such name") if "invalid" in name else UnicodeError("label too long")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(OSError):
        await ThreadPerLookup().resolve(name)


async def test_slow_names_hold_up_no_others_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    real = socket.getaddrinfo

    def look_up(host: str, *given: Any, **more: Any) -> Any:
        if host == "slow.example.com":
            release.wait(10)
        return real("127.0.0.1", *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(resolving, "MOST_LOOKUPS", 31)
    resolver = ThreadPerLookup()
    slow = [asyncio.create_task(resolver.resolve("slow.example.com")) for _ in range(30)]
    await asyncio.sleep(0)
    assert [each["host"] for each in await resolver.resolve("fast.example.com")] == ["127.0.0.1"]
    slow.append(asyncio.create_task(resolver.resolve("slow.example.com")))
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="too many"):
        await resolver.resolve("fast.example.com")
    slow[0].cancel()
    release.set()
    results = await asyncio.gather(*slow, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert len([result for result in results if isinstance(result, list)]) == 30
    async with asyncio.timeout(10):
        while resolver._under_way:
            await asyncio.sleep(0.005)
    await resolver.close()
