"""The carrier does what its scenario says, and its reports lead where its ledger says."""

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import ClientError, web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos import behaviour, ledger
from tests.chaos.behaviour import Mode
from tests.chaos.calls import arrivals_of, turned_away
from tests.chaos.carrier import Carrier
from tests.chaos.poisonous import POISONS
from tests.chaos.reporting import Reporter

KEY = "secret"
HEADERS = {"Authorization": f"Bearer {KEY}"}
MESSAGE = {"reference": "0" * 32, "to": "+48500000000", "from": "x", "text": "chaos"}


@given(st.integers())
def test_a_report_of_delivered_is_the_truth(seed: int) -> None:
    story = behaviour.tangled(Random(seed))
    told = {report.status for report in story.reports}
    if "delivered" in told:
        assert story.end == "delivered"
    else:
        assert (
            story.end == {"undelivered": "not_delivered", "rejected": "carrier_rejected"}[(told - {"on_phone"}).pop()]
        )
    assert len(story.reports) == behaviour.COPIES * len(told)


async def submit(path: Path, mode: Mode, port_url: str = "http://127.0.0.1:9/none") -> Any:
    """One message to a carrier that behaves so: the status, or the kind of error."""
    with ledger.Ledger(path) as writing:
        carrier = Carrier(writing, key=KEY, honour_keys=True, delay=0.0)
        app = web.Application()
        carrier.add_to(app)
        async with TestClient(TestServer(app), headers=HEADERS) as client:
            assert (await client.post("/chaos/mode", json={"mode": mode})).status == 200
            try:
                async with asyncio.timeout(0.5):
                    body = {"callback_url": port_url, "messages": [MESSAGE]}
                    return (await client.post("/smsc/messages", json=body)).status
            except (ClientError, TimeoutError) as error:
                return type(error).__name__


@pytest.mark.parametrize(
    ("mode", "answer"),
    [
        (Mode.OK, 200),
        (Mode.BROKEN, 500),
        (Mode.BUSY, 429),
        (Mode.DEAF, "TimeoutError"),
        (Mode.RESET, "ServerDisconnectedError"),
        (Mode.GARBLED, 200),
        (Mode.SLOW, "TimeoutError"),
    ],
)
async def test_a_submission_is_in_the_ledger_as_it_was_taken(tmp_path: Path, mode: Mode, answer: Any) -> None:
    path = tmp_path / "ledger"
    assert await submit(path, mode) == answer
    arrivals = arrivals_of(ledger.read(path))
    assert [one.in_doubt for one in arrivals] == ([mode.leaves_in_doubt] if mode.takes else [])
    assert [(how, messages) for how, _, messages in turned_away(ledger.read(path))] == (
        [] if mode.takes else [(mode, 1)]
    )


async def test_a_report_is_told_until_somebody_takes_it() -> None:
    heard: list[str] = []

    async def take(request: web.Request) -> web.Response:
        heard.extend(report["id"] for report in (await request.json())["reports"])
        return web.Response(status=503 if len(heard) == 1 else 200)

    app = web.Application()
    app.router.add_post("/", take)
    async with TestServer(app) as server:
        reporter = Reporter(repeat=False)
        reporter.later(str(server.make_url("/")), "a", "delivered")
        running = asyncio.create_task(reporter.run())
        async with asyncio.timeout(10):
            while reporter.waiting:
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert heard == ["a", "a"]


def test_no_poison_can_be_read() -> None:
    for poison in POISONS:
        value = poison.value("send.notification")
        try:
            document = json.loads(value or b"")
        except ValueError:
            continue
        assert document["type"] != "send.notification" or document["version"] != 1 or " " in document["tenant"]
    assert len({poison.name for poison in POISONS}) == len(POISONS)
