"""python -m tests.chaos.carrier: a carrier that owes the platform nothing.

It takes what the dispatcher sends (POST /smsc/messages), writes it into its ledger, only then answers, and reports each
message until somebody takes the report. With --honour-keys a reference seen before is answered with the same id, as
good carriers do; the ledger says `repeat` and nobody gets a second copy. With --tangled its reports are (behaviour.py).
POST /chaos/mode makes it behave otherwise, GET /chaos/state says how it stands.
"""

import argparse
import asyncio
import signal
import time
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import web

from tests.chaos import behaviour
from tests.chaos.behaviour import PLAIN, Mode, Story
from tests.chaos.ledger import Ledger
from tests.chaos.reporting import Reporter, report

WHATEVER_IS_OPEN = 1.0  # seconds a stop waits for requests that are never answered


class Carrier:
    """`delay` seconds pass between the ledger and the answer: what is killed meanwhile does not know."""

    def __init__(
        self, ledger: Ledger, *, key: str, honour_keys: bool, delay: float, tangled: Random | None = None
    ) -> None:
        self._ledger = ledger
        self._authorization = f"Bearer {key}"
        self._honour_keys = honour_keys
        self._delay = delay
        self._tangled = tangled
        self._mode = Mode.OK
        self._ids: dict[str, str] = {}
        self._taken = 0
        self._strays = 0
        self.reporter = Reporter(repeat=tangled is not None)

    def add_to(self, app: web.Application) -> None:
        """Register."""
        app.router.add_post("/smsc/messages", self.take)
        app.router.add_post("/chaos/mode", self.change)
        app.router.add_get("/chaos/state", self.state)

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Ledger, delay, answer."""
        if request.headers.get("Authorization") != self._authorization:
            return web.json_response({"error": "unauthorized"}, status=401)
        body, mode = await request.json(), self._mode
        if not mode.takes:
            return await self._turn_away(mode, len(body["messages"]))
        url = str(body["callback_url"])
        taken = [self._take(message, mode) for message in body["messages"]]
        self._ledger.write(entry for entry, _, _ in taken)
        fresh = [(given, story) for entry, given, story in taken if not (entry["repeat"] and self._honour_keys)]
        if early := [
            report(given, one.status, one.clock) for given, story in fresh for one in story.reports if not one.due
        ]:
            await self.reporter.now(url, early)
        await asyncio.sleep(behaviour.SLOW_ANSWER if mode is Mode.SLOW else self._delay)
        for given, story in fresh:
            self._report(url, given, story)
        if mode is Mode.RESET and request.transport is not None:
            request.transport.abort()
        if mode.leaves_in_doubt:
            return web.Response(body=b'{"results": [', content_type="application/json")
        results = [{"reference": entry["reference"], "id": given, "status": "accepted"} for entry, given, _ in taken]
        return web.json_response({"results": results})

    async def change(self, request: web.Request) -> web.Response:
        """Behave so from now on."""
        self._mode = Mode((await request.json())["mode"])
        return web.json_response({"mode": self._mode})

    async def state(self, request: web.Request) -> web.Response:
        """How many reports nobody has taken yet, and how many were made of messages that never were."""
        return web.json_response({"waiting": self.reporter.waiting, "strays": self._strays})

    async def _turn_away(self, mode: Mode, messages: int) -> web.Response:
        self._ledger.write([{"kind": "turned away", "mode": mode, "messages": messages, "at": time.time()}])
        if mode is Mode.BUSY:
            return web.Response(status=429, headers={"Retry-After": str(behaviour.RETRY_AFTER)})
        if mode is Mode.DEAF:
            await asyncio.Event().wait()
        return web.Response(status=500)

    def _take(self, message: dict[str, Any], mode: Mode) -> tuple[dict[str, Any], str, Story]:
        reference = message["reference"]
        known = self._ids.get(reference)
        story = PLAIN if self._tangled is None else behaviour.tangled(self._tangled)
        entry = {
            "kind": "message",
            "reference": reference,
            "to": message["to"],
            "marker": message["text"],
            "at": time.time(),
            "repeat": known is not None,
            "end": story.end,
            "in_doubt": mode.leaves_in_doubt,
        }
        if known is None or not self._honour_keys:
            self._taken += 1
            known = self._ids[reference] = f"chaos-{self._taken}"
        return entry, known, story

    def _report(self, url: str, given: str, story: Story) -> None:
        for one in story.reports:
            # What was told early is told again, in case nobody took it.
            self.reporter.later(url, given, one.status, after=one.due, clock=one.clock)
        if story.stray:
            self._strays += 1
            self.reporter.later(url, f"stray-{self._strays}", "delivered")


async def serve(options: argparse.Namespace) -> None:
    """Until SIGTERM."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    tangled = None if options.tangled is None else Random(options.tangled)
    with Ledger(options.ledger) as ledger:
        carrier = Carrier(
            ledger, key=options.key, honour_keys=options.honour_keys, delay=options.delay, tangled=tangled
        )
        app = web.Application(client_max_size=4 * 1024 * 1024)
        carrier.add_to(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=WHATEVER_IS_OPEN)
        await runner.setup()
        reporting = asyncio.create_task(carrier.reporter.run())
        try:
            await web.TCPSite(runner, "127.0.0.1", options.port).start()
            await ended.wait()
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)
            await runner.cleanup()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--honour-keys", action="store_true")
    parser.add_argument("--delay", type=float, default=0.05, help="seconds between the ledger and the answer")
    parser.add_argument("--tangled", type=int, metavar="SEED", help="tangle the reports")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
