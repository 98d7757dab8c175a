"""A caller that owes the platform nothing: it writes down each request before it is sent and each answer after.

Every call has an Idempotency-Key of its own and is repeated with it, bounded, as the answers ask for.
"""

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

import aiohttp

from tests.chaos.ledger import Ledger
from tests.chaos.load import Besides, Load, Planned, address, plan

ANSWER_WITHIN = 10.0  # seconds; three are promised
KEEP_TRYING = 60.0
LONGEST_PAUSE = 3.0
AGAIN = frozenset({409, 425, 429, 500, 502, 503, 504})
FAILURES = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


@dataclass(frozen=True)
class Answer:
    """What came back, if anything. `wait` is what it asks for in seconds."""

    status: int | None
    notification: str | None
    wait: float
    replayed: bool = False


class Client:
    """`accepted` is told each notification that was accepted, the number of its addresses and the call it was. Calls go
    to each of `gateways` in turn."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        ledger: Ledger,
        *,
        gateways: Sequence[str],
        seed: int,
        accepted: Callable[[str, int, int], None],
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._gateways = gateways
        self._seed = seed
        self._random = Random(seed)
        self._accepted = accepted
        self._attempts: dict[int, int] = {}
        self._turn = count()
        self._besides = Besides(seed)
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
                calls.create_task(self.carry_through(call))
            self._used_up.set()

    async def _stopped_before(self, due: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await self._enough.wait()
        except TimeoutError:
            return self._enough.is_set()
        return True

    def another(self, size: int) -> Planned:
        """A call beside the load, to be made when a scenario wants it."""
        return self._besides.another(size)

    def new_key(self) -> str:
        """An Idempotency-Key nobody else has."""
        return str(uuid.UUID(int=self._random.getrandbits(128)))

    async def carry_through(self, call: Planned, key: str | None = None) -> str | None:
        """Send a call until it has its end; the notification it became, if it was accepted."""
        key = key or self.new_key()
        until = time.monotonic() + KEEP_TRYING
        pause = 0.5
        while True:
            answer = await self.attempt(call, key)
            if (answer.status is not None and answer.status not in AGAIN) or time.monotonic() > until:
                return answer.notification
            pause = min(LONGEST_PAUSE, pause * 1.5)
            await asyncio.sleep(max(answer.wait, pause) * self._random.uniform(1.0, 1.3))

    async def attempt(self, call: Planned, key: str, gateway: str | None = None) -> Answer:
        """Send a call once."""
        number = self._attempts[call.number] = self._attempts.get(call.number, 0) + 1
        whose = {"number": call.number, "attempt": number}
        to = {"first": call.first, "count": call.count}
        self._ledger.write([{"kind": "request", **whose, **to, "key": key, "marker": call.marker, "at": time.time()}])
        begun = time.monotonic()
        entry = await self._post("/notifications", body_of(call), key, gateway)
        entry |= {"kind": "answer", **whose, "seconds": time.monotonic() - begun, "at": time.time()}
        self._ledger.write([entry])
        if "id" in entry:
            self._accepted(entry["id"], call.count, call.number)
        wait = float(entry.get("retry_after") or 0)
        return Answer(entry.get("status"), entry.get("id"), wait, entry.get("replayed", False))

    def handed_over(self, call: Planned, notification: str) -> None:
        """Note a call that Kafka itself has acknowledged."""
        whose = {"number": call.number, "attempt": 1}
        to = {"first": call.first, "count": call.count}
        request = {"kind": "request", **whose, **to, "key": "", "marker": call.marker, "at": time.time()}
        answer = {"kind": "answer", **whose, "status": 202, "id": notification, "seconds": 0.0, "at": time.time()}
        self._ledger.write([request, answer])
        self._accepted(notification, call.count, call.number)

    async def control(self, call: Planned, notification: str, action: str) -> int | None:
        """Pause, resume or cancel what a call became, once; the status of the answer, if one came."""
        begun = time.time()
        entry = await self._post(f"/notifications/{notification}/{action}", {}, self.new_key(), None)
        entry |= {"kind": "control", "number": call.number, "action": action, "begun": begun, "at": time.time()}
        self._ledger.write([entry])
        status: int | None = entry.get("status")
        return status

    async def _post(self, path: str, body: dict[str, Any], key: str, gateway: str | None) -> dict[str, Any]:
        """What the answer says, or why there is none."""
        url = (gateway or self._gateways[next(self._turn) % len(self._gateways)]) + path
        # A hundred thousand addresses are allowed in one call, if they are written down closely.
        content = json.dumps(body, separators=(",", ":")).encode()
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(ANSWER_WITHIN),
                self._session.post(url, data=content, headers=headers) as response,
            ):
                answer = await response.read()
                document = await response.json(content_type=None)
                entry = {
                    "status": response.status,
                    "outcome": response.headers.get("X-Accept-Outcome"),
                    "retry_after": response.headers.get("Retry-After"),
                    "replayed": response.headers.get("Idempotent-Replayed") == "true",
                }
                if 200 <= response.status < 300:
                    return {**entry, "id": document["id"], "digest": hashlib.sha256(answer).hexdigest()}
                return {**entry, "code": document.get("type")}
        except aiohttp.ClientConnectorError as error:
            return {"not_connected": True, "error": type(error).__name__}
        except FAILURES as error:
            return {"error": type(error).__name__}


def body_of(call: Planned) -> dict[str, Any]:
    """The call as the native API wants it."""
    addresses = [address(call.first + offset) for offset in range(call.count)]
    return {"channel": "sms", "to": {"addresses": addresses}, "content": {"text": call.marker}}
