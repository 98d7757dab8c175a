"""Kafka and Postgres as the platform runs them: found or fetched, prepared, asked whether they answer."""

import asyncio
import errno
import os
import shutil
import threading
from collections.abc import Callable
from typing import TypeVar

import asyncpg
import psutil

from deploy.local import jars, java, kafka, leftovers, postgres, postgres_programs
from deploy.local.layout import Layout
from deploy.local.processes import Command, living_in
from deploy.local.progress import Say
from deploy.local.services import Platform
from deploy.local.trouble import Trouble

T = TypeVar("T")

NEEDED = 300 * 1024 * 1024  # bytes: an empty Kafka and an empty Postgres with their first logs


def make_room(layout: Layout, say: Say) -> None:
    """Make the folders, end what an earlier start left, begin new logs. Raises Trouble when the disk is full."""
    layout.make()
    leftovers.clear(layout, say)
    free = shutil.disk_usage(layout.run).free
    if free < NEEDED:
        raise Trouble(f"only {free // 2**20} MB are free under {layout.run}; {NEEDED // 2**20} MB are needed to start")
    for mark in layout.hold.iterdir():
        say(f"removing {mark}: it would keep {mark.name} from starting")
        mark.unlink()
    for log in layout.logs.glob("*.log"):
        if log != layout.log("supervisor"):
            log.replace(log.with_suffix(".log.1"))


async def find_postgres(layout: Layout, platform: Platform, say: Say) -> postgres.Server:
    data = layout.postgres / "data"
    programs = await in_background(lambda: postgres_programs.find(say, made_by=postgres.exists(data)))
    return postgres.Server(data, programs, platform.postgres_port, platform.secrets.postgres)


async def find_kafka(layout: Layout, platform: Platform, say: Say) -> kafka.Broker:
    program, library = await asyncio.gather(
        in_background(lambda: java.find(say)), in_background(lambda: jars.ensure(say=say))
    )
    return kafka.Broker(layout.kafka, program, library, platform.kafka_port, platform.controller_port)


def postgres_command(server: postgres.Server, say: Say) -> Command:
    """A killed postmaster leaves processes that keep the next one from starting: they are ended first."""
    orphans = living_in(server.data)
    if orphans:
        say(f"ending {len(orphans)} processes that a dead Postgres left behind")
        for orphan in orphans:
            try:
                orphan.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(orphans, 10)
    postgres.prepare(server)
    (server.data / "postmaster.pid").unlink(missing_ok=True)  # we hold the lock: nobody else serves this data
    return postgres.command(server)


def kafka_command(broker: kafka.Broker) -> Command:
    kafka.prepare(broker)
    return kafka.command(broker)


async def postgres_refuses(server: postgres.Server) -> str | None:
    try:
        connection = await asyncpg.connect(server.dsn("postgres"), timeout=5)
    except asyncpg.InvalidPasswordError:
        raise Trouble("the database was made with another password than the one in .run/secrets") from None
    except (OSError, asyncpg.PostgresError) as error:
        return str(error) or type(error).__name__
    await connection.close()
    return None


async def kafka_refuses(broker: kafka.Broker) -> str | None:
    answers = await asyncio.to_thread(kafka.answers, broker.port)
    return None if answers else "it names no broker yet"


async def in_background(work: Callable[[], T]) -> T:
    """Run what may take as long as a download in a thread that nothing waits for when the platform is stopped."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: Exception | None) -> None:
        if result.cancelled():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        try:
            value = work()
        except Exception as error:  # noqa: BLE001 - handed on to whoever waits
            _tell(loop, settle, None, error)
        else:
            _tell(loop, settle, value, None)

    threading.Thread(target=run, daemon=True).start()
    return await result


def _tell(loop: asyncio.AbstractEventLoop, settle: Callable[..., None], value: object, error: Exception | None) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(settle, value, error)


def in_words(error: OSError) -> str:
    """An operating system's refusal in one line."""
    if error.errno == errno.ENOSPC:
        return f"the disk is full{f' ({error.filename})' if error.filename else ''}"
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
