"""A caller that owes the platform nothing: it writes down each request before it is sent and each answer after.

Every call has an Idempotency-Key of its own and is repeated with it, bounded, as the answers ask for.
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from random import Random
from typing import Any

import aiohttp

from tests.chaos.ledger import Ledger
from tests.chaos.load import Load, Planned, address, plan

ANSWER_WITHIN = 10.0  # seconds; three are promised
KEEP_TRYING = 60.0
LONGEST_PAUSE = 3.0
AGAIN = frozenset({409, 425, 429, 500, 502, 503, 504})


class Client:
    """`accepted` is told each notification that was accepted, the number of its addresses and the call it was."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        ledger: Ledger,
        *,
        gateway: str,
        seed: int,
        accepted: Callable[[str, int, int], None],
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._url = f"{gateway}/notifications"
        self._seed = seed
        self._random = Random(seed)
        self._accepted = accepted
        self._enough = asyncio.Event()
        self._used_up = asyncio.Event()

    def stop(self) -> None:
        """Begin no new call; those that are under way are finished."""
        self._enough.set()

    async def used_up(self) -> None:
        """Wait until the whole load was begun."""
        await self._used_up.wait()

    async def run(self, load: Load) -> None:
        """Send the load, in its time, until it is used up or `stop`; returns when every call has its end."""
        started = time.monotonic()
        async with asyncio.TaskGroup() as calls:
            for call in plan(load, self._seed):
                if await self._stopped_before(started + call.due):
                    break
                calls.create_task(self._carry_through(call))
            self._used_up.set()

    async def _stopped_before(self, due: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await self._enough.wait()
        except TimeoutError:
            return self._enough.is_set()
        return True

    async def _carry_through(self, call: Planned) -> None:
        key = str(uuid.UUID(int=self._random.getrandbits(128)))
        addresses = [address(call.first + offset) for offset in range(call.count)]
        body = {"channel": "sms", "to": {"addresses": addresses}, "content": {"text": call.marker}}
        until = time.monotonic() + KEEP_TRYING
        pause, attempt = 0.5, 0
        while True:
            attempt += 1
            status, notification, wait = await self._try(call, attempt, key, body)
            if notification is not None:
                self._accepted(notification, call.count, call.number)
            if (status is not None and status not in AGAIN) or time.monotonic() > until:
                return
            pause = min(LONGEST_PAUSE, pause * 1.5)
            await asyncio.sleep(max(wait, pause) * self._random.uniform(1.0, 1.3))

    async def _try(
        self, call: Planned, attempt: int, key: str, body: dict[str, Any]
    ) -> tuple[int | None, str | None, float]:
        """The status if there was an answer, the notification if it was accepted, and how long to wait if not."""
        whose = {"number": call.number, "attempt": attempt}
        to = {"first": call.first, "count": call.count}
        self._ledger.write([{"kind": "request", **whose, **to, "key": key, "marker": call.marker, "at": time.time()}])
        begun = time.monotonic()
        answer: dict[str, Any] = {"kind": "answer", **whose}
        wait = 0.0
        try:
            async with (
                asyncio.timeout(ANSWER_WITHIN),
                self._session.post(self._url, json=body, headers={"Idempotency-Key": key}) as response,
            ):
                document = await response.json(content_type=None)
                answer["status"] = response.status
                answer["outcome"] = response.headers.get("X-Accept-Outcome")
                answer["retry_after"] = response.headers.get("Retry-After")
                answer["replayed"] = response.headers.get("Idempotent-Replayed") == "true"
                wait = float(response.headers.get("Retry-After", "0"))
                if 200 <= response.status < 300:
                    answer["id"] = document["id"]
                else:
                    answer["code"] = document.get("type")
        except aiohttp.ClientConnectorError as error:
            answer |= {"not_connected": True, "error": type(error).__name__}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            answer |= {"error": type(error).__name__}
            answer.pop("status", None)
        answer |= {"seconds": time.monotonic() - begun, "at": time.time()}
        self._ledger.write([answer])
        return answer.get("status"), answer.get("id"), wait
