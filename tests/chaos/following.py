"""Asks the public API about every accepted notification until it is final, and checks each answer."""

import asyncio
import time
from collections import deque
from dataclasses import replace
from typing import Any

import aiohttp

from tests.chaos.statuses import Told, contradiction, is_final

PACE = 0.02  # seconds between two questions while the load flows: asking must not be the load
AT_ONCE = 8


class Follower:
    """`told` is what is known by notification; `contradictions` what did not add up at any moment."""

    def __init__(self, session: aiohttp.ClientSession, gateway: str) -> None:
        self._session = session
        self._url = f"{gateway}/notifications"
        self._open: deque[tuple[str, int]] = deque()
        self._seen: set[str] = set()
        self._asked = 0
        self.pace = PACE
        self.told: dict[str, Told] = {}
        self.contradictions: list[str] = []
        self.refusals: dict[str, int] = {}

    def add(self, notification: str, count: int) -> None:
        """Follow a notification to `count` addresses."""
        if notification not in self._seen:
            self._seen.add(notification)
            self._open.append((notification, count))

    @property
    def waiting(self) -> int:
        """How many notifications are not final, as far as is known."""
        return len(self._open) + self._asked

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as askers:
            for _ in range(AT_ONCE):
                askers.create_task(self._ask())

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(self.pace * AT_ONCE)
            if not self._open:
                continue
            notification, count = self._open.popleft()
            self._asked += 1
            try:
                final = await self._is_final(notification, count)
                if not final:
                    self._open.append((notification, count))
            finally:
                self._asked -= 1

    async def _is_final(self, notification: str, count: int) -> bool:
        answer = await self._get(notification)
        if answer is None:
            return False
        if reason := contradiction(answer, count):
            self.contradictions.append(f"{notification}: {reason}")
        known = self.told.get(notification, Told())
        final = is_final(answer)
        self.told[notification] = replace(known, answer=answer, final_at=time.time() if final else None)
        return final

    async def _get(self, notification: str) -> dict[str, Any] | None:
        """The status; none while nobody can tell it."""
        try:
            async with asyncio.timeout(10), self._session.get(f"{self._url}/{notification}") as response:
                if response.status in (200, 202):
                    answer: dict[str, Any] = await response.json()
                    return answer
                self._refused(str(response.status))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._refused(type(error).__name__)
        return None

    def _refused(self, cause: str) -> None:
        self.refusals[cause] = self.refusals.get(cause, 0) + 1
