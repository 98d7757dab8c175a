"""A campaign to many people by their ids: nothing lost, nothing doubled, and what each message cost in every process.

    make up && make people N=100000 && .venv/bin/python -m tests.bench.campaign --people 100000 --api-key KEY

Without --api-key it sends to the demo tenant's 2,000 people. It sends one call per 100,000 people, waits until every
delivery is final, and compares the counters with what arrived over the wire.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from tests.bench.accounting import measure, print_cost
from tests.bench.platform import Platform, demo_api_key, get, running

PER_CALL = 100_000
OPEN_STATES = ("queued", "sending", "retrying", "unknown", "sent", "on_phone")


async def send(session: aiohttp.ClientSession, platform: Platform, ids: range, marker: str) -> str:
    """Asks for one SMS to each of `ids`; gives the notification's id."""
    body = {"channel": "sms", "to": {"client_ids": list(ids)}, "content": {"text": f"Campaign {marker}"}}
    async with session.post(f"{platform.gateway}/notifications", json=body) as response:
        answer = await response.json()
        if response.status != 202:
            raise SystemExit(f"the gateway answered {response.status}: {answer}")
        return str(answer["id"])


async def finished(
    session: aiohttp.ClientSession, platform: Platform, notification: str, bound: float
) -> dict[str, Any]:
    """The notification's status once no delivery is open; exits when `bound` seconds pass."""
    deadline = time.monotonic() + bound
    while time.monotonic() < deadline:
        status = await get(session, f"{platform.gateway}/notifications/{notification}")
        counts = status.get("counts", {})
        if status.get("totals_known") and not any(counts.get(state) for state in OPEN_STATES):
            return status
        print(f"\r{status['state']} {counts}", end="", file=sys.stderr, flush=True)
        await asyncio.sleep(0.5)
    raise SystemExit(f"not finished within {bound} s: {status}")


async def arrived(session: aiohttp.ClientSession, platform: Platform, marker: str) -> AsyncIterator[str]:
    """The phone of every message of this run that the carrier received."""
    page: dict[str, str | int] = {"contains": marker, "limit": 5000}
    while True:
        messages = (await get(session, f"{platform.sandbox}/messages", **page))["messages"]
        for message in messages:
            yield message["to"]
        if not messages:
            return
        page["before"] = messages[-1]["id"]


async def run(platform: Platform, options: argparse.Namespace) -> None:
    marker = uuid4().hex[:10]
    headers = {"Authorization": f"Bearer {options.api_key or demo_api_key()}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        before = measure(platform.processes)
        began = time.monotonic()
        calls = [range(low, min(low + PER_CALL, options.people + 1)) for low in range(1, options.people + 1, PER_CALL)]
        notifications = [await send(session, platform, ids, marker) for ids in calls]
        statuses = [await finished(session, platform, item, options.bound) for item in notifications]
        seconds = time.monotonic() - began
        after = measure(platform.processes)
        phones = Counter([phone async for phone in arrived(session, platform, marker)])
    planned = sum(status["planned"] for status in statuses)
    suppressed = sum(status["suppressed"] for status in statuses)
    counts: Counter[str] = Counter()
    for status in statuses:
        counts.update(status["counts"])
    print(f"\n{options.people} people: planned {planned}, suppressed {suppressed}, counts {dict(counts)}")
    doubled = sum(count - 1 for count in phones.values())
    print(f"arrived {phones.total()}: lost {planned - len(phones)}, doubled {doubled}")
    print(f"{seconds:.1f} s from the first request to the last final state: {planned / seconds:.0f} messages/s\n")
    print_cost(before, after, messages=planned)
    if planned != len(phones) or doubled or planned + suppressed != options.people:
        raise SystemExit("the figures do not add up")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=Path, default=Path(".run"), help="the platform's state (default: .run)")
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--api-key", help="of the tenant that `make people` made")
    parser.add_argument("--bound", type=float, default=300, help="give up after so many seconds (default: 300)")
    options = parser.parse_args()
    asyncio.run(run(running(options.run_dir), options))


if __name__ == "__main__":
    main()
