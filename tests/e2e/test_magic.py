"""Every magic recipient ends in the state that deploy/demo/magic.csv says, as a caller sees it."""

import asyncio
import csv
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from deploy.local import demo

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("platform")]
ROWS = list(csv.DictReader((demo.FOLDER / "magic.csv").read_text(encoding="utf-8").splitlines()))
# The longest that the attempts before the last take, in seconds: waits of at most 5 and 30, our patience with an
# answer, a pause of the route, and a second until due work is looked for.
RETRIES = {"flaky": 5 + 30 + 2, "times_out": 15 + 5 + 1, "throttled": 1.25 + 1}
SLACK = 20.0  # a busy machine
HELD_BACK = {"times_out", "report_before_answer"}
# The states of the attempts and, sorted, of the reports: those of one moment by the carrier's clock are shown once.
HISTORIES = {
    "delivered_after_2s": (["sent"], ["delivered"]),
    "never_reported": (["sent"], []),
    "rejected": (["carrier_rejected"], []),
    "undelivered": (["sent"], ["not_delivered"]),
    "throttled": (["sent"], ["delivered"]),
    "times_out": (["retrying", "sent"], ["delivered"]),
    "flaky": (["retrying", "retrying", "sent"], ["delivered"]),
    "duplicate_reports": (["sent"], ["delivered", "delivered"]),
    "late_report": (["sent"], ["delivered", "on_phone"]),
    "report_before_answer": (["sent"], ["delivered"]),
}


class Caller:
    """A user of the native API."""

    def __init__(self, session: aiohttp.ClientSession, platform: Any) -> None:
        self._session = session
        self._gateway = platform.gateway
        self._sandbox = platform.sandbox
        self._headers = {"Authorization": f"Bearer {platform.credentials['native']['api_key']}"}

    async def send(self, **body: Any) -> str:
        """The notification's id."""
        async with self._session.post(f"{self._gateway}/notifications", headers=self._headers, json=body) as response:
            assert response.status == 202, await response.text()
            return str((await response.json())["id"])

    async def deliveries(self, notification: str) -> list[dict[str, Any]]:
        """All of them, none while nothing is known yet."""
        found = await self._get(f"/notifications/{notification}/deliveries?limit=1000")
        return found["deliveries"] if found else []

    async def delivery(self, notification: str) -> dict[str, Any]:
        """The only one, with its attempts and reports."""
        (listed,) = await self.deliveries(notification)
        found: dict[str, Any] = await self._get(f"/deliveries/{listed['id']}")
        return found

    async def arrived(self, text: str) -> list[str]:
        """To whom the carrier delivered."""
        url = f"{self._sandbox}/messages"
        async with self._session.get(url, params={"contains": text, "limit": 1000}) as response:
            return [f"+{message['to']}" for message in (await response.json())["messages"]]

    async def _get(self, path: str) -> Any:
        async with self._session.get(self._gateway + path, headers=self._headers) as response:
            assert response.status in (200, 202, 404)
            return await response.json() if response.status == 200 else None


@pytest.fixture
async def caller(platform: Any) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(session, platform)


async def until(row: dict[str, str], caller: Caller, notification: str, *, retries: float) -> float:
    """Wait for the outcome of the row's delivery; the seconds it took."""
    began = time.monotonic()
    while True:
        found = [one["state"] for one in await caller.deliveries(notification) if one["to"] == row["address"]]
        took = time.monotonic() - began
        if found == [row["outcome"]]:
            return took
        assert took < float(row["delay_s"]) + retries + SLACK, (row, found)
        await asyncio.sleep(0.2)


async def told_in_full(row: dict[str, str], caller: Caller, notification: str) -> dict[str, Any]:
    """The delivery with its whole history."""
    deadline = time.monotonic() + SLACK
    while True:
        delivery = await caller.delivery(notification)
        attempts = [attempt["state"] for attempt in delivery["attempts"]]
        reports = sorted(report["state"] for report in delivery["receipts"])
        if (attempts, reports) == HISTORIES[row["behaviour"]]:
            return delivery
        assert time.monotonic() < deadline, (attempts, reports, delivery)
        await asyncio.sleep(0.2)


async def test_every_magic_recipient_ends_as_listed(caller: Caller) -> None:
    text = f"magic {uuid4().hex}"

    async def send(row: dict[str, str]) -> str:
        to = {"client_ids": [int(row["client_id"])]}
        return await caller.send(channel="sms", to=to, content={"text": text})

    async def send_alone(row: dict[str, str]) -> str:
        """Until the carrier has it, nothing else is sent that could go in the same request."""
        notification = await send(row)
        while row["address"] not in await caller.arrived(text):
            await asyncio.sleep(0.05)
        return notification

    assert {row["behaviour"] for row in ROWS} == HISTORIES.keys()
    sent = {row["behaviour"]: await send_alone(row) for row in ROWS if row["behaviour"] in HELD_BACK}
    sent |= {row["behaviour"]: await send(row) for row in ROWS if row["behaviour"] not in HELD_BACK}
    ends = (until(row, caller, sent[row["behaviour"]], retries=RETRIES.get(row["behaviour"], 0)) for row in ROWS)
    for row, took in zip(ROWS, await asyncio.gather(*ends), strict=True):
        notification = sent[row["behaviour"]]
        print(f"{row['behaviour']:22}{row['outcome']:18}{took:6.1f} s")
        delivery = await told_in_full(row, caller, notification)
        assert (delivery["state"], delivery["to"]) == (row["outcome"], row["address"])
        assert delivery["client_id"] == int(row["client_id"])
        if row["behaviour"] in HELD_BACK:
            assert delivery["receipts"][0]["received_at"] < delivery["attempts"][-1]["at"]
    taken = [row["address"] for row in ROWS if row["outcome"] != "carrier_rejected"]
    assert sorted(await caller.arrived(text)) == sorted(taken)


async def test_a_list_with_all_of_them_harms_nobody_else_in_it(caller: Caller) -> None:
    text = f"company {uuid4().hex}"
    others = [f"+485001{number:05}" for number in range(30)]
    addresses = [row["address"] for row in ROWS] + others
    # One-time codes are tried again soonest: after at most 1 and 3 seconds.
    notification = await caller.send(
        channel="sms", to={"addresses": addresses}, content={"text": text}, **{"class": "otp"}
    )
    await asyncio.gather(*(until(row, caller, notification, retries=1 + 3 + 2) for row in ROWS))
    ordinary: Counter[str] = Counter()
    deadline = time.monotonic() + SLACK
    while ordinary != Counter(delivered=len(others)):
        assert time.monotonic() < deadline, ordinary
        ordinary = Counter(one["state"] for one in await caller.deliveries(notification) if one["to"] in others)
        await asyncio.sleep(0.2)
    arrived = await caller.arrived(text)
    assert sorted(to for to in arrived if to in others) == others
    assert len(arrived) == len(set(arrived)) == len(addresses) - 1
