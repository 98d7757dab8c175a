"""F17: one Idempotency-Key used by many at once, by the wrong one, and while its gateway dies."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from tests.chaos.figures import Figures
from tests.chaos.load import Load, Planned
from tests.chaos.scenario import SETTINGS, Scenario
from tests.chaos.scene import Scene

GATEWAYS = 4
AT_ONCE = 50
KEYS = 10
IN_FLIGHT = 30
# An answered call is remembered before it is answered. That moment made longer, a kill lands in it.
LINGER = 0.2
KILL_AFTER = 0.15
WIDEN = f"""
    CREATE FUNCTION gateway.chaos_linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF current_setting('chaos.lingered', true) IS DISTINCT FROM txid_current()::text THEN
            PERFORM pg_sleep({LINGER});
            PERFORM set_config('chaos.lingered', txid_current()::text, true);
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER chaos_linger BEFORE UPDATE ON gateway.idempotency
        FOR EACH ROW WHEN (NEW.status IS NOT NULL) EXECUTE FUNCTION gateway.chaos_linger()"""
NARROW = "DROP FUNCTION gateway.chaos_linger() CASCADE"


async def use_keys(scene: Scene) -> None:
    """Fifty at once on four gateways; the same key for something else; the same call again; and gateways that die
    between Kafka's acknowledgement and their answer."""
    used = [(scene.client.another(1), scene.client.new_key()) for _ in range(KEYS)]
    for call, key in used:
        await _storm(scene, call, key)
    scene.say(f"{KEYS} keys, each {AT_ONCE} times at once on {GATEWAYS} gateways")
    await _misuse(scene, [key for _, key in used])
    await _repeat(scene, used)
    async with lingering(scene):
        for gateway, name in zip(scene.up.gateways, names(), strict=True):
            await _kill_before_the_answer(scene, gateway, name)
    await _repeat(scene, used)


def names() -> Sequence[str]:
    """The gateways' processes, in the order of their addresses."""
    return ["gateway", *(f"gateway-{number}" for number in range(2, GATEWAYS + 1))]


async def _storm(scene: Scene, call: Planned, key: str) -> None:
    gateways = scene.up.gateways
    answers = await asyncio.gather(
        *(scene.client.attempt(call, key, gateways[number % len(gateways)]) for number in range(AT_ONCE))
    )
    others = {answer.status for answer in answers} - {202, 409}
    scene.expect(not others, f"the same call {AT_ONCE} times at once was answered {others}")
    await scene.client.carry_through(call, key)


async def _misuse(scene: Scene, keys: Sequence[str]) -> None:
    answers = [
        await scene.client.attempt(scene.client.another(1), key, gateway)
        for key in keys
        for gateway in scene.up.gateways
    ]
    statuses = {answer.status for answer in answers}
    scene.expect(statuses == {422}, f"another call under a used key was answered {statuses}, not 422")
    scene.say(f"{len(answers)} other calls under these keys: {statuses}")


async def _repeat(scene: Scene, used: Sequence[tuple[Planned, str]]) -> None:
    """The checker compares the bytes."""
    answers = [await scene.client.attempt(call, key, gateway) for call, key in used for gateway in scene.up.gateways]
    wrong = sum(not (answer.status == 202 and answer.replayed) for answer in answers)
    scene.expect(not wrong, f"{wrong} of {len(answers)} repeated calls were no replay")
    scene.say(f"{len(answers)} repeated calls, {len(answers) - wrong} replayed")


async def _kill_before_the_answer(scene: Scene, gateway: str, name: str) -> None:
    async def call() -> None:
        planned, key = scene.client.another(1), scene.client.new_key()
        if (await scene.client.attempt(planned, key, gateway)).notification is None:
            await scene.client.carry_through(planned, key)

    async with asyncio.TaskGroup() as calls:
        for _ in range(IN_FLIGHT):
            calls.create_task(call())
        await asyncio.sleep(KILL_AFTER)
        pid = scene.faults.send(name, signal.SIGKILL)
    await scene.faults.another(name, pid)
    await scene.faults.ready()


@asynccontextmanager
async def lingering(scene: Scene) -> AsyncIterator[None]:
    """Gateways take their time between the acknowledgement and the answer."""
    connection = await asyncpg.connect(scene.up.database("gateway"), timeout=10)
    try:
        await connection.execute(WIDEN)
        try:
            yield
        finally:
            await connection.execute(NARROW)
    finally:
        await connection.close()


def absorbed(figures: Figures) -> Sequence[str]:
    """Where no call was acknowledged and not answered, nothing was shown."""
    return [] if figures.absorbed else ["no call was on its way before it was answered: this run proves nothing"]


F17 = Scenario(
    "F17",
    f"one key {AT_ONCE} times at once on {GATEWAYS} gateways; another call under it; kill -9 before the answer",
    use_keys,
    load=Load(per_second=10.0, bulk_every=5.0, bulk_size=200, most_messages=5_000),
    spared=True,
    per_hit=0,
    statuses=frozenset({"422"}),
    settings={**SETTINGS, "REPLICAS": f"gateway={GATEWAYS}"},
    besides=absorbed,
)
