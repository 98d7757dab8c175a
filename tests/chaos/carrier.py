"""python -m tests.chaos.carrier: a carrier that owes the platform nothing.

It takes what the dispatcher sends (POST /smsc/messages), writes it into its ledger, only then answers, and reports each
message as delivered until somebody takes the report. With --honour-keys a reference seen before is answered with the
same id, as good carriers do; the ledger says `repeat` and nobody gets a second copy.
"""

import argparse
import asyncio
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.chaos.ledger import Ledger

REPORTS_PER_CALL = 500
REPORT_EVERY = 0.1  # seconds
REPORT_AGAIN = 0.5


class Carrier:
    """`delay` seconds pass between the ledger and the answer: what is killed meanwhile does not know."""

    def __init__(self, ledger: Ledger, *, key: str, honour_keys: bool, delay: float) -> None:
        self._ledger = ledger
        self._authorization = f"Bearer {key}"
        self._honour_keys = honour_keys
        self._delay = delay
        self._ids: dict[str, str] = {}
        self._taken = 0
        self._waiting: dict[str, list[str]] = defaultdict(list)

    async def take(self, request: web.Request) -> web.Response:
        """Ledger, delay, answer."""
        if request.headers.get("Authorization") != self._authorization:
            return web.json_response({"error": "unauthorized"}, status=401)
        body = await request.json()
        taken = [self._take(message) for message in body["messages"]]
        self._ledger.write(entry for entry, _ in taken)
        fresh = [given for entry, given in taken if not (entry["repeat"] and self._honour_keys)]
        await asyncio.sleep(self._delay)
        self._waiting[body["callback_url"]] += fresh
        results = [{"reference": entry["reference"], "id": given, "status": "accepted"} for entry, given in taken]
        return web.json_response({"results": results})

    def _take(self, message: dict[str, Any]) -> tuple[dict[str, Any], str]:
        reference = message["reference"]
        known = self._ids.get(reference)
        entry = {
            "reference": reference,
            "to": message["to"],
            "marker": message["text"],
            "at": time.time(),
            "repeat": known is not None,
        }
        if known is None or not self._honour_keys:
            self._taken += 1
            known = self._ids[reference] = f"chaos-{self._taken}"
        return entry, known

    async def report(self) -> None:
        """Report until cancelled; what is not taken is reported again."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
            while True:
                pause = REPORT_EVERY
                for url, ids in list(self._waiting.items()):
                    part = ids[:REPORTS_PER_CALL]
                    if part and await _taken(session, url, part):
                        del ids[: len(part)]
                        pause = 0.0 if ids else pause
                    elif part:
                        pause = REPORT_AGAIN
                await asyncio.sleep(pause)


async def _taken(session: aiohttp.ClientSession, url: str, ids: list[str]) -> bool:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    reports = [{"id": given, "status": "delivered", "code": "000", "at": at} for given in ids]
    try:
        async with session.post(url, json={"reports": reports}) as response:
            return 200 <= response.status < 300
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


async def serve(options: argparse.Namespace) -> None:
    """Until SIGTERM."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    with Ledger(options.ledger) as ledger:
        carrier = Carrier(ledger, key=options.key, honour_keys=options.honour_keys, delay=options.delay)
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_post("/smsc/messages", carrier.take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        reporting = asyncio.create_task(carrier.report())
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
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
