"""What a tenant notices when the carrier of another one is slow or dead: its single messages, from the call to its
carrier, while the other sends single messages and campaigns.

    .venv/bin/python -m tests.bench.isolation

Starts a platform of its own, in which each tenant has a route of its own.
"""

import asyncio
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence

import aiohttp

from deploy.local.layout import CHECKOUT
from tests.bench import trial
from tests.chaos.behaviour import Mode
from tests.chaos.calls import arrivals_of, calls_of
from tests.chaos.carriers import Carrier, CarrierMode
from tests.chaos.client import body_of
from tests.chaos.figures import quantile
from tests.chaos.ledger import read
from tests.chaos.load import Besides, Load
from tests.chaos.routes import Route, written
from tests.chaos.scenario import SETTINGS, Scenario
from tests.chaos.scene import Scene

PHASES: Sequence[tuple[str, Mode]] = (
    ("both carriers are well", Mode.OK),
    ("the other's carrier answers after 30 s", Mode.SLOW),
    ("the other's carrier does not answer", Mode.DEAF),
    ("the other's carrier answers 500", Mode.BROKEN),
)
SECONDS = 25.0
OTHER = "demo-people"
SINGLES = 10.0  # a second, of each
CAMPAIGN = 500
CAMPAIGN_EVERY = 40  # singles


def own_routes(carriers: Sequence[Carrier]) -> str:
    """The file of routes."""
    ours = Route("ours", carriers[0], 'tenants = ["demo"]')
    return written([ours, Route("others", carriers[1], f'tenants = ["{OTHER}"]')])


async def compare(scene: Scene) -> None:
    """Each phase in turn, and the figures side by side."""
    key = await asyncio.to_thread(_other_tenant, scene)
    spans: dict[str, tuple[float, float]] = {}
    sending = asyncio.create_task(_send_as_other(scene, key))
    try:
        for name, mode in PHASES:
            await scene.behave(mode, carrier=1)
            begun = time.time()
            await asyncio.sleep(SECONDS)
            spans[name] = (begun, time.time())
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    await scene.behave(Mode.OK, carrier=1)
    await asyncio.sleep(2.0)
    _tell(scene, spans)


def _other_tenant(scene: Scene) -> str:
    """Its key for the API."""
    environ = {**os.environ, "RUN_DIR": str(scene.up.layout.run)}
    command = [sys.executable, "-m", "deploy.local", "people", "1"]
    subprocess.run(command, cwd=CHECKOUT, env=environ, check=True, capture_output=True)
    document = tomllib.loads((scene.up.layout.run / f"{OTHER}.toml").read_text(encoding="utf-8"))
    return str(document["native"]["api_key"])


async def _send_as_other(scene: Scene, key: str) -> None:
    """Until cancelled: nobody asks what becomes of it."""
    calls = Besides(seed=1)
    url = f"{scene.up.endpoints['gateway']}/notifications"
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session,
        asyncio.TaskGroup() as group,
    ):

        async def post(size: int) -> None:
            body = body_of(calls.another(size)) | {"content": {"text": "another tenant's"}}
            async with session.post(url, json=body) as response:
                await response.read()

        for number in range(1_000_000):
            group.create_task(post(CAMPAIGN if number % CAMPAIGN_EVERY == 0 else 1))
            await asyncio.sleep(1 / SINGLES)


def _tell(scene: Scene, spans: Mapping[str, tuple[float, float]]) -> None:
    arrived = {one.marker: one.at for one in arrivals_of(read(scene.up.carriers[0].ledger))}
    begun = {call.marker: call.attempts[0].begun for call in calls_of(read(scene.up.client_ledger)) if call.count == 1}
    for name, (first, last) in spans.items():
        marked = [marker for marker, at in begun.items() if first <= at < last]
        took = sorted(arrived[marker] - begun[marker] for marker in marked if marker in arrived)
        p50, p99 = quantile(took, 0.5), quantile(took, 0.99)
        if p50 is None or p99 is None:
            scene.expect(False, f"nothing arrived while {name}")
            continue
        scene.say(
            f"{name}: {len(took)} of {len(marked)} arrived, p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, "
            f"slowest {took[-1] * 1000:.0f} ms"
        )


SCENARIO = Scenario(
    "isolation",
    "a tenant beside another one whose carrier is slow or dead",
    compare,
    carriers=[CarrierMode(), CarrierMode(honour_keys=True)],
    routes=own_routes,
    load=Load(per_second=SINGLES, bulk_every=1e9, most_messages=5_000),
    spared=True,
    settles=False,
    per_hit=0,
    settings=SETTINGS,
)

if __name__ == "__main__":
    sys.exit(trial.run(SCENARIO))
