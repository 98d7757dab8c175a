"""Asks the public API about every accepted notification until it is final, and checks each answer."""

import asyncio
import time
from collections import deque
from dataclasses import replace
from typing import Any

import aiohttp

from tests.chaos.statuses import Told, contradiction, is_final, regression

PACE = 0.02  # seconds between two questions while the load flows: asking must not be the load
AT_ONCE = 8


class Follower:
    """`told` is what is known by notification; `contradictions` what did not add up at any moment. Those in `stopped`
    may come to less than was asked for."""

    def __init__(self, session: aiohttp.ClientSession, gateway: str) -> None:
        self._session = session
        self._url = f"{gateway}/notifications"
        self._open: deque[tuple[str, int]] = deque()
        self._counts: dict[str, int] = {}
        self._asked = 0
        self.pace = PACE
        self.told: dict[str, Told] = {}
        self.stopped: set[str] = set()
        self.contradictions: list[str] = []
        self.refusals: dict[str, int] = {}

    def add(self, notification: str, count: int) -> None:
        """Follow a notification to `count` addresses."""
        if notification not in self._counts:
            self._counts[notification] = count
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

    async def look_again(self) -> None:
        """Ask about all once more: what was final must be so still."""
        every = deque(self._counts.items())

        async def ask() -> None:
            while every:
                await self.look(*every.popleft())

        async with asyncio.TaskGroup() as askers:
            for _ in range(AT_ONCE):
                askers.create_task(ask())

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(self.pace * AT_ONCE)
            if not self._open:
                continue
            notification, count = self._open.popleft()
            self._asked += 1
            try:
                answer = await self.look(notification, count)
                if answer is None or not is_final(answer):
                    self._open.append((notification, count))
            finally:
                self._asked -= 1

    async def look(self, notification: str, count: int) -> dict[str, Any] | None:
        """What is told of a notification now; none while nobody can tell it."""
        answer = await self.ask(notification)
        if answer is None:
            return None
        known = self.told.get(notification, Told())
        reasons = contradiction(answer, count, stopped=notification in self.stopped), regression(known.answer, answer)
        self.contradictions += [f"{notification}: {reason}" for reason in reasons if reason]
        final_at = known.final_at or (time.time() if is_final(answer) else None)
        self.told[notification] = replace(known, answer=answer, final_at=final_at)
        return answer

    async def ask(self, notification: str) -> dict[str, Any] | None:
        """The status, noted nowhere; none while nobody can tell it."""
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
