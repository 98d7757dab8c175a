"""Starts the platform in order, keeps every process of it alive, stops it in reverse."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from deploy.local import demo, endpoints, health, leftovers, postgres, roles, secrets, servers, services, topics
from deploy.local.choices import Choices
from deploy.local.files import write_json
from deploy.local.layout import Layout
from deploy.local.ports import any_free
from deploy.local.processes import Command
from deploy.local.progress import Say
from deploy.local.services import Instance, Platform
from deploy.local.trouble import Trouble
from deploy.local.watched import WRONG_SETTINGS, Watched

READY_WITHIN = 90.0
LOOK = 0.05  # seconds between two questions whether something is ready
RECORD_AGAIN = 2.0
DEATHS_AT_START = 3  # then something is wrong that another start will not mend
SERVICES_STOP = 25.0
SERVERS_STOP = 15.0

Probe = Callable[[], Awaitable[str | None]]  # why it is not ready; None when it is


class Supervisor:
    """One platform under one `.run/`, whose lock the caller holds."""

    def __init__(self, layout: Layout, choices: Choices, environ: Mapping[str, str], say: Say) -> None:
        self._layout = layout
        self._choices = choices
        self._environ = environ
        self._say = say
        self._watched: dict[str, Watched] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._platform: Platform | None = None
        self._ready = False

    async def start(self) -> dict[str, Any]:
        """Bring everything up; returns what endpoints.json says. Raises Trouble when it cannot be done."""
        servers.make_room(self._layout, self._say)
        platform = self._platform = self._plan()
        await _all(self._fill_postgres(platform), self._start_kafka(platform))
        self._say(f"starting {len(platform.instances)} services")
        for instance in platform.instances:
            self._watch(instance.name, partial(services.command, instance, platform, self._environ))
        await _all(*(self._service_ready(instance) for instance in platform.instances))
        self._ready = True
        return self._publish()

    def _plan(self) -> Platform:
        chosen = self._choices
        instances = services.lay_out(
            chosen.replicas, gateway_port=chosen.gateway_port, sandbox_port=chosen.sandbox_port
        )
        taken = [instance.port for instance in instances]
        for _ in range(3):
            taken.append(any_free(taken))
        kafka, controller, database = taken[-3:]
        known = secrets.load(
            self._layout.secrets, database_exists=postgres.exists(self._layout.postgres / "data") is not None
        )
        return Platform(instances, kafka, controller, database, known)

    async def _fill_postgres(self, platform: Platform) -> None:
        """While Kafka starts: the programs that load the demo data make the schemas they need themselves."""
        await self._start_postgres(platform)
        if await demo.ensure(self._layout, platform, self._environ):
            self._say("demo data loaded")

    async def _start_postgres(self, platform: Platform) -> None:
        server = await servers.find_postgres(self._layout, platform, self._say)
        self._say("starting Postgres")
        watched = self._watch("postgres", partial(servers.postgres_command, server, self._say))
        await self._until_ready(watched, partial(servers.postgres_refuses, server))
        await roles.ensure(server.dsn("postgres"), secrets.as_dict(platform.secrets))

    async def _start_kafka(self, platform: Platform) -> None:
        broker = await servers.find_kafka(self._layout, platform, self._say)
        self._say("starting Kafka")
        watched = self._watch("kafka", partial(servers.kafka_command, broker))
        async with topics.creation(platform.kafka) as create_topics:
            await self._until_ready(watched, partial(servers.kafka_refuses, broker))
            await create_topics()

    async def _service_ready(self, instance: Instance) -> None:
        await self._until_ready(self._watched[instance.name], partial(health.not_ready_because, instance.port))

    def _watch(self, name: str, prepare: Callable[[], Command]) -> Watched:
        watched = self._watched[name] = Watched(
            name,
            prepare,
            log=self._layout.log(name),
            hold=self._layout.hold / name,
            say=self._say,
            started=self._record,
        )
        task = asyncio.create_task(watched.keep(), name=name)
        task.add_done_callback(self._keeper_ended)
        self._tasks.add(task)
        return watched

    def _keeper_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception():
            self._say(f"{task.get_name()} is no longer looked after: {task.exception()!r}")

    async def _until_ready(self, watched: Watched, probe: Probe) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while reason := await probe():
            self._give_up_if_hopeless(watched)
            if time.monotonic() > deadline:
                raise Trouble(
                    f"{watched.name} was not ready within {READY_WITHIN:g} s: {reason}; its log is {watched.log}"
                )
            await asyncio.sleep(LOOK)

    def _give_up_if_hopeless(self, watched: Watched) -> None:
        if watched.trouble:
            raise Trouble(watched.trouble)
        if watched.deaths >= DEATHS_AT_START or (watched.deaths and watched.last_exit == WRONG_SETTINGS):
            raise Trouble(f"{watched.name} does not start: {watched.last_words()}; its log is {watched.log}")

    def _record(self) -> None:
        """Write down the pids; when the disk is full, as soon as it no longer is."""
        try:
            leftovers.record(self._layout, self._pids())
            if self._ready:
                self._publish()
        except OSError as error:
            self._say(f"the pids cannot be written down: {servers.in_words(error)}; trying again in {RECORD_AGAIN:g} s")
            asyncio.get_running_loop().call_later(RECORD_AGAIN, self._record)

    def _pids(self) -> dict[str, int]:
        return {name: watched.pid for name, watched in self._watched.items() if watched.pid is not None}

    def _publish(self) -> dict[str, Any]:
        assert self._platform is not None
        content = endpoints.describe(
            self._platform.instances,
            kafka=self._platform.kafka,
            postgres=self._platform.dsn(services.READER),
            processes=self._pids(),
        )
        write_json(self._layout.endpoints, content, mode=0o600)
        return content

    async def stop(self) -> None:
        """End the services, then Kafka and Postgres, which the services still need to finish what they have begun."""
        self._layout.endpoints.unlink(missing_ok=True)
        last = [self._watched[name] for name in ("kafka", "postgres") if name in self._watched]
        first = [watched for watched in self._watched.values() if watched not in last]
        await asyncio.gather(*(watched.stop(SERVICES_STOP) for watched in first))
        await asyncio.gather(*(watched.stop(SERVERS_STOP) for watched in last))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        leftovers.clear(self._layout, self._say)


async def _all(*work: Coroutine[Any, Any, None]) -> None:
    """All at once; the first that fails ends the others and is raised."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
