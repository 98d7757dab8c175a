"""Every magic recipient ends in the state that deploy/demo/magic.csv says, as a caller sees it."""

import asyncio
import csv
import time
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest

from deploy.local import demo
from tests.e2e.caller import Caller

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("platform")]
ROWS = list(csv.DictReader((demo.FOLDER / "magic.csv").read_text(encoding="utf-8").splitlines()))
# The longest that the attempts before the last take, in seconds: waits of at most 5 and 30, our patience with an
# answer, a pause of the route, and a second until due work is looked for.
FLAKY, TIMES_OUT, THROTTLED = 5 + 30 + 2, 15 + 5 + 1, 1.25 + 1
RETRIES = {
    "flaky": FLAKY,
    "times_out": TIMES_OUT,
    "throttled": THROTTLED,
    "viber_flaky": FLAKY,
    "viber_times_out": TIMES_OUT,
    "viber_busy": THROTTLED,
}
SLACK = 20.0  # a busy machine
HELD_BACK = {"times_out", "viber_times_out", "report_before_answer"}
NOT_TAKEN = {"rejected", "no_funds", "viber_not_a_user", "viber_no_funds"}
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
    "no_funds": (["no_funds"], []),
    "rejected_later": (["sent"], ["carrier_rejected"]),
    "corrected": (["sent"], ["delivered", "not_delivered"]),
    "on_phone_then_delivered": (["sent"], ["delivered", "on_phone"]),
    "stays_on_phone": (["sent"], ["on_phone"]),
    "delivered_after_10s": (["sent"], ["delivered"]),
    "viber_delivered": (["sent"], ["delivered"]),
    "viber_seen": (["sent"], ["delivered", "delivered", "on_phone"]),
    "viber_never_reported": (["sent"], []),
    "viber_not_a_user": (["carrier_rejected"], []),
    "viber_undelivered": (["sent"], ["not_delivered"]),
    "viber_blocked_later": (["sent"], ["carrier_rejected"]),
    "viber_no_funds": (["no_funds"], []),
    "viber_busy": (["sent"], ["delivered"]),
    "viber_times_out": (["retrying", "sent"], ["delivered"]),
    "viber_flaky": (["retrying", "retrying", "sent"], ["delivered"]),
    "viber_corrected": (["sent"], ["delivered", "not_delivered"]),
}


async def arrived(caller: Caller, text: str) -> list[str]:
    """To whom the carrier delivered."""
    return [f"+{message['to']}" for message in await caller.inbox(contains=text)]


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
        (listed,) = await caller.deliveries(notification)
        delivery = await caller.delivery(listed["id"])
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
        return await caller.send(channel=row["channel"], to=to, content={"text": text})

    async def send_alone(row: dict[str, str]) -> str:
        """Until the carrier has it, nothing else is sent that could go in the same request."""
        notification = await send(row)
        while row["address"] not in await arrived(caller, text):
            await asyncio.sleep(0.05)
        return notification

    assert {row["behaviour"] for row in ROWS} == HISTORIES.keys()
    sent = {row["behaviour"]: await send_alone(row) for row in ROWS if row["behaviour"] in HELD_BACK}
    sent |= {row["behaviour"]: await send(row) for row in ROWS if row["behaviour"] not in HELD_BACK}
    ends = (until(row, caller, sent[row["behaviour"]], retries=RETRIES.get(row["behaviour"], 0)) for row in ROWS)
    for row, took in zip(ROWS, await asyncio.gather(*ends), strict=True):
        notification = sent[row["behaviour"]]
        print(f"{row['behaviour']:24}{row['outcome']:18}{took:6.1f} s")
        delivery = await told_in_full(row, caller, notification)
        assert (delivery["state"], delivery["to"]) == (row["outcome"], row["address"])
        assert delivery["client_id"] == int(row["client_id"])
        if row["behaviour"] in HELD_BACK:
            assert delivery["receipts"][0]["received_at"] < delivery["attempts"][-1]["at"]
    taken = [row["address"] for row in ROWS if row["behaviour"] not in NOT_TAKEN]
    assert sorted(await arrived(caller, text)) == sorted(taken)


async def test_a_list_with_all_of_them_harms_nobody_else_in_it(caller: Caller) -> None:
    text = f"company {uuid4().hex}"
    others = [f"+485001{number:05}" for number in range(30)]
    rows = [row for row in ROWS if row["channel"] == "sms"]
    addresses = [row["address"] for row in rows] + others
    # One-time codes are tried again soonest: after at most 1 and 3 seconds.
    notification = await caller.send(
        channel="sms", to={"addresses": addresses}, content={"text": text}, **{"class": "otp"}
    )
    await asyncio.gather(*(until(row, caller, notification, retries=1 + 3 + 2) for row in rows))
    ordinary: Counter[str] = Counter()
    deadline = time.monotonic() + SLACK
    while ordinary != Counter(delivered=len(others)):
        assert time.monotonic() < deadline, ordinary
        ordinary = Counter(one["state"] for one in await caller.deliveries(notification) if one["to"] in others)
        await asyncio.sleep(0.2)
    numbers = await arrived(caller, text)
    assert sorted(to for to in numbers if to in others) == others
    refused = [row for row in rows if row["behaviour"] in NOT_TAKEN]
    assert len(numbers) == len(set(numbers)) == len(addresses) - len(refused)
