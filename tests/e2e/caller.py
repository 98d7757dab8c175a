"""A user of the native API, who can also look at what arrived."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

OPEN_STATES = ("queued", "sending", "retrying", "unknown", "sent", "on_phone")


class Caller:
    """One tenant's calls. Answers are (status, document) where a refusal is expected, else the document."""

    def __init__(self, session: aiohttp.ClientSession, platform: Any) -> None:
        self._session = session
        self._gateway = platform.gateway
        self.sandbox = platform.sandbox
        self._headers = {"Authorization": f"Bearer {platform.credentials['native']['api_key']}"}

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """One call."""
        async with self._session.request(
            method, self._gateway + path, headers=self._headers | headers, json=body
        ) as response:
            return response.status, await response.json(content_type=None)

    async def send(self, **body: Any) -> str:
        """The notification's id."""
        return str((await self.sent(**body))["id"])

    async def sent(self, **body: Any) -> dict[str, Any]:
        """The answer to a call that is accepted."""
        status, answer = await self.ask("POST", "/notifications", body)
        assert status == 202, answer
        return dict(answer)

    async def control(self, notification: str, action: str, body: Any = None) -> dict[str, Any]:
        """The answer to a pause, resume, cancel, reschedule or resend that is accepted."""
        status, answer = await self.ask("POST", f"/notifications/{notification}/{action}", body)
        assert status == 202, answer
        return dict(answer)

    async def status(self, notification: str) -> dict[str, Any]:
        """How far it is."""
        status, answer = await self.ask("GET", f"/notifications/{notification}")
        assert status in (200, 202), answer
        return dict(answer)

    async def finished(self, notification: str, *, within: float = 120) -> dict[str, Any]:
        """How it ended, once nothing of it is open."""

        def over(answer: dict[str, Any]) -> bool:
            open_deliveries = sum(answer.get("counts", {}).get(state, 0) for state in OPEN_STATES)
            return bool(answer.get("totals_known")) and not open_deliveries

        return await eventually(lambda: self.status(notification), over, within=within)

    async def reaches(self, notification: str, state: str, *, within: float = 60) -> dict[str, Any]:
        """Its status once it has this state."""
        return await eventually(
            lambda: self.status(notification), lambda answer: answer["state"] == state, within=within
        )

    async def deliveries(self, notification: str, **query: str) -> list[dict[str, Any]]:
        """All of them, none while nothing is known yet."""
        found: list[dict[str, Any]] = []
        page = {"limit": "1000", **query}
        while True:
            path = f"/notifications/{notification}/deliveries?" + "&".join(f"{k}={v}" for k, v in page.items())
            status, answer = await self.ask("GET", path)
            if status != 200:
                return found
            found += answer["deliveries"]
            if answer["next_cursor"] is None:
                return found
            page["cursor"] = answer["next_cursor"]

    async def delivery(self, delivery: str) -> dict[str, Any]:
        """One, with its attempts and reports."""
        status, answer = await self.ask("GET", f"/deliveries/{delivery}")
        assert status == 200, answer
        return dict(answer)

    async def inbox(self, **query: str | int) -> list[dict[str, Any]]:
        """Everything that arrived, newest first."""
        messages: list[dict[str, Any]] = []
        while True:
            async with self._session.get(f"{self.sandbox}/messages", params={"limit": 5000, **query}) as response:
                assert response.status == 200
                page = (await response.json())["messages"]
            if not page:
                return messages
            messages += page
            query["before"] = page[-1]["id"]


async def eventually(
    read: Callable[[], Awaitable[Any]], accept: Callable[[Any], bool], *, within: float = 60, every: float = 0.1
) -> Any:
    """The first answer of `read` that `accept` takes; fails with the last one when `within` seconds pass."""
    deadline = time.monotonic() + within
    while True:
        answer = await read()
        if accept(answer):
            return answer
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(every)
