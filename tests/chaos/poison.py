"""F15: records that nobody can read on every command topic, a thousand in a row on one, dead letters sent again."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from deploy.local.layout import CHECKOUT
from libs.contracts.routing import Lane
from libs.contracts.topics import SEND_NOTIFICATION, TOPICS
from tests.chaos.books import Place
from tests.chaos.load import Load
from tests.chaos.poisonous import GARBAGE, ODD_HEADERS, POISONS, Producing, call_of, missing_list
from tests.chaos.scenario import SETTINGS, Scenario
from tests.chaos.scene import Scene

IN_A_ROW = 1000
VICTIM = "ingest"
WATCH = 10.0  # seconds
BETWEEN = 1.0
MOST_CPU = 20.0  # per cent of a core
STOPPED_WITHIN = 20.0
SESSION = 45.0  # a member that left without a word is missed after 30 s
BULK = SEND_NOTIFICATION[Lane.BULK]


async def poison_everything(scene: Scene) -> None:
    """Everything in turn; the load goes on meanwhile."""
    async with Producing(scene.up.endpoints["kafka"]) as kafka:
        await _odd_headers(scene, kafka)
        await _every_topic(scene, kafka)
        await _a_thousand(scene, kafka)
        await _redrive(scene, kafka)


async def _odd_headers(scene: Scene, kafka: Producing) -> None:
    """A header nobody can read is no reason to lose a message that everybody can."""
    for headers in ODD_HEADERS:
        for topic in SEND_NOTIFICATION:
            call = scene.client.another(1)
            command = call_of(call)
            await kafka.send(topic.name, command.model_dump_json().encode(), headers)
            scene.client.handed_over(call, str(command.notifications[0].notification_id))


async def _every_topic(scene: Scene, kafka: Producing) -> None:
    processes = scene.up.endpoints["processes"]
    commands = [topic for topic in TOPICS if topic.lane is not None]
    for topic in commands:
        consumers = [name for name in topic.consumers if name in processes]
        for poison in POISONS:
            value = poison.value(topic.message.TYPE)
            partition, offset = await kafka.send(topic.name, value, poison.headers)
            scene.buried.update(Place(_schema(name), topic.name, partition, offset) for name in consumers)
        # The tracker reads six of these topics as one: the load goes between, so that they are not too many in a row.
        await asyncio.sleep(BETWEEN)
    scene.say(f"{len(POISONS)} poisonous records on each of {len(commands)} topics")


async def _a_thousand(scene: Scene, kafka: Producing) -> None:
    """Its consumer stops, by intention and quietly; a person finds out where and leads it past them."""
    pid = scene.up.pid(VICTIM)
    places = await kafka.send_all(BULK.name, 0, [GARBAGE] * IN_A_ROW)
    scene.may_be_buried.update(Place(_schema(VICTIM), BULK.name, 0, offset) for offset in places)
    scene.say(f"{IN_A_ROW} in a row on {BULK.name}")
    reason = await _stopped(scene)
    scene.expect("in a row" in reason or "of the last" in reason, f"{VICTIM} did not stop: {reason}")
    scene.say(f"{VICTIM}: {reason}")
    before = _cpu_seconds(scene)
    await asyncio.sleep(WATCH)
    after = _cpu_seconds(scene)
    shares = {name: 100 * (after[name] - before[name]) / WATCH for name in before}
    scene.say(", ".join(f"{name} {share:.0f} %" for name, share in shares.items()) + " of a core meanwhile")
    busy = {name: round(share) for name, share in shares.items() if share >= MOST_CPU}
    scene.expect(not busy, f"in the presence of poison these take {busy} % of a core")
    scene.expect(scene.up.pid(VICTIM) == pid, f"{VICTIM} was started again though it stopped by intention")
    await _lead_past(scene, max(places) + 1)


async def _stopped(scene: Scene) -> str:
    deadline = time.monotonic() + STOPPED_WITHIN
    while time.monotonic() < deadline:
        if reason := (await scene.faults.not_ready()).get(VICTIM):
            return reason
        await asyncio.sleep(0.2)
    return "it says that it is ready"


def _cpu_seconds(scene: Scene) -> dict[str, float]:
    pids = scene.up.endpoints["processes"]
    return {name: sum(psutil.Process(pids[name]).cpu_times()[:2]) for name in scene.faults.services}


async def _lead_past(scene: Scene, offset: int) -> None:
    """What an operator does: stop it, move its group, start it."""
    hold = scene.up.layout.hold / VICTIM
    hold.touch()
    try:
        pid = scene.faults.send(VICTIM, signal.SIGTERM)
        while psutil.pid_exists(pid):
            await asyncio.sleep(0.1)
        await _move(scene.up.endpoints["kafka"], f"{VICTIM}.{BULK.name}", TopicPartition(BULK.name, 0), offset)
    finally:
        hold.unlink()
    await scene.faults.another(VICTIM, pid)
    scene.say(f"{VICTIM} was led past them")


async def _move(kafka: str, group: str, partition: TopicPartition, offset: int) -> None:
    """Kafka takes an offset for a group from outside once its members are gone."""
    async with asyncio.timeout(SESSION):
        while True:
            consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=group, enable_auto_commit=False)
            consumer.assign([partition])
            try:
                await consumer.start()
                await consumer.commit({partition: offset})
            except KafkaError:
                await asyncio.sleep(1.0)
            else:
                return
            finally:
                with suppress(KafkaError):
                    await consumer.stop()


async def _redrive(scene: Scene, kafka: Producing) -> None:
    """A call that names a list nobody has stored is refused; stored later and sent round again, it arrives."""
    call = scene.client.another(2)
    command, sha256, body = missing_list(call)
    partition, offset = await kafka.send(BULK.name, command.model_dump_json().encode())
    place = Place(_schema(VICTIM), BULK.name, partition, offset)
    scene.buried.add(place)
    notification = str(command.notifications[0].notification_id)
    await _told(scene, notification, "rejected")
    headers = {"Authorization": f"Bearer {scene.up.secret('internal_token')}"}
    url = f"{scene.up.endpoints['services'][VICTIM]}/content/{command.tenant}/{sha256}"
    async with scene.session.put(url, data=body, headers=headers) as response:
        scene.expect(response.status == 201, f"the list was not stored: {response.status}")
    words = ["redrive", VICTIM, "--error-class", "Refused"]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "deploy.local", *words],
        cwd=CHECKOUT,
        env={**os.environ, "RUN_DIR": str(scene.up.layout.run)},
        capture_output=True,
        text=True,
        check=False,
    )
    scene.say(f"{' '.join(words)}: {done.stdout.strip().splitlines()[-1:] or done.stderr.strip()[-300:]}")
    scene.expect(done.returncode == 0, f"redrive ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    scene.client.handed_over(call, notification)
    await _told(scene, notification, "done")


async def _told(scene: Scene, notification: str, state: str) -> None:
    deadline = time.monotonic() + STOPPED_WITHIN
    answer = None
    while time.monotonic() < deadline:
        answer = await scene.follower.ask(notification)
        if answer is not None and answer.get("state") == state:
            return
        await asyncio.sleep(0.1)
    scene.expect(False, f"{notification} is not {state}: {answer}")


def _schema(service: str) -> str:
    return "dispatch" if service.startswith("dispatcher-") else service


F15 = Scenario(
    "F15",
    f"poison on every command topic, {IN_A_ROW} in a row on one; dead letters sent round again",
    poison_everything,
    load=Load(per_second=5.0, bulk_every=6.0, bulk_size=100, most_messages=5_000),
    spared=True,
    answers=True,
    per_hit=0,
    # The bulk lane waits for a person; Kafka misses its stopped reader half a minute later.
    recovery=60.0,
    settings=SETTINGS,
)
