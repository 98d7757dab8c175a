"""Client and carrier write down what they do before anything follows from it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from tests.chaos import ledger
from tests.chaos.calls import Fate, arrivals_of, calls_of
from tests.chaos.carrier import Carrier
from tests.chaos.client import Client
from tests.chaos.load import Load

REFERENCE = "0" * 32
KEY = "secret"


async def submit(carrier: Carrier, times: int) -> list[dict[str, Any]]:
    app = web.Application()
    app.router.add_post("/smsc/messages", carrier.take)
    message = {"reference": REFERENCE, "to": "+48500000000", "from": "x", "text": "chaos"}
    body = {"callback_url": "http://127.0.0.1:9/none", "messages": [message]}
    headers = {"Authorization": f"Bearer {KEY}"}
    results = []
    async with TestClient(TestServer(app)) as client:
        assert (await client.post("/smsc/messages", json=body)).status == 401
        for _ in range(times):
            response = await client.post("/smsc/messages", json=body, headers=headers)
            results += (await response.json())["results"]
    return results


@pytest.mark.parametrize("honour_keys", [True, False])
async def test_the_carrier_writes_down_every_copy(tmp_path: Path, honour_keys: bool) -> None:
    path = tmp_path / "ledger"
    with ledger.Ledger(path) as writing:
        results = await submit(Carrier(writing, key=KEY, honour_keys=honour_keys, delay=0.0), 3)
    arrivals = arrivals_of(ledger.read(path))
    assert [one.repeat for one in arrivals] == [False, True, True]
    assert {one.marker for one in arrivals} == {"chaos"}
    assert len({result["id"] for result in results}) == (1 if honour_keys else 3)


async def test_the_client_repeats_a_refused_call_with_its_key(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    keys: list[str] = []
    known_before: list[int] = []

    async def post(request: web.Request) -> web.Response:
        keys.append(request.headers["Idempotency-Key"])
        known_before.append(sum(entry["kind"] == "request" for entry in ledger.read(path)))
        if len(keys) == 1:
            headers = {"X-Accept-Outcome": "refused", "Retry-After": "0"}
            return web.json_response({}, status=503, headers=headers)
        return web.json_response({"id": "n"}, status=202)

    app = web.Application()
    app.router.add_post("/notifications", post)
    accepted: list[tuple[str, int, int]] = []
    async with TestServer(app) as server, ClientSession() as session:
        with ledger.Ledger(path) as writing:
            client = Client(
                session,
                writing,
                gateways=[str(server.make_url("")).rstrip("/")],
                seed=1,
                accepted=lambda *what: accepted.append(what),
            )
            load = Load(per_second=1000, bulk_every=1000, most_messages=1)
            await asyncio.wait_for(client.run(load), 30)
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert known_before == [1, 2]
    assert accepted == [("n", 1, 0)]
    (call,) = calls_of(ledger.read(path))
    assert (call.fate, call.notifications) == (Fate.ACCEPTED, ["n"])
    assert [attempt.cause for attempt in call.attempts] == ["503 refused", "202"]


def test_a_line_that_was_not_finished_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_text('{"number":1}\n{"numb', encoding="utf-8")
    assert list(ledger.read(path)) == [{"number": 1}]


def test_a_tail_tells_each_line_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_text('{"number":1}\n{"numb', encoding="utf-8")
    tail = ledger.Tail(path)
    assert tail.fresh() == [{"number": 1}]
    assert tail.fresh() == []
    with path.open("a", encoding="utf-8") as more:
        more.write('er":2}\n{"number":3}\n')
    assert tail.fresh() == [{"number": 2}, {"number": 3}]
    assert tail.fresh() == []
