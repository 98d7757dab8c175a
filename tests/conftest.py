"""Real servers for the tests: one Kafka and one Postgres per test process, gone when it ends."""

import asyncio
import contextlib
import itertools
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local import jars, java, ports, postgres_programs
from deploy.local import kafka as local_kafka
from deploy.local import postgres as local_postgres
from deploy.local.processes import Command, end, end_with_parent, spawn

SERVER_START = 60.0
ATTEMPTS = 3  # a port that was free may be taken before the server binds it


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # a worker of xdist, which a killed test run would leave behind with its servers
        end_with_parent()


def _start(
    prepare: Callable[[int], Command], is_ready: Callable[[int], bool], log: Path
) -> tuple[subprocess.Popen[bytes], Command, int]:
    for _ in range(ATTEMPTS):
        port = ports.any_free()
        command = prepare(port)
        process = spawn(command, log)
        deadline = time.monotonic() + SERVER_START
        while process.poll() is None and time.monotonic() < deadline:
            if is_ready(port):
                return process, command, port
            time.sleep(0.02)
        end(process, command.stop_signal)
    raise RuntimeError(f"{command.argv[0]} did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local_postgres.Server]:
    """A Postgres of this test process. It need not outlive a power cut, so it does not wait for the disk."""
    directory = tmp_path_factory.mktemp("postgres")
    programs = postgres_programs.find()

    def server_at(port: int) -> local_postgres.Server:
        return local_postgres.Server(directory / "data", programs, port, "tests-only")

    def prepare(port: int) -> Command:
        local_postgres.prepare(server_at(port), durable=False)
        return local_postgres.command(
            server_at(port), fsync="off", synchronous_commit="off", full_page_writes="off", autovacuum_naptime="10min"
        )

    def is_ready(port: int) -> bool:
        async def connect() -> None:
            await (await asyncpg.connect(server_at(port).dsn("postgres"), timeout=5)).close()

        with contextlib.suppress(OSError, asyncpg.PostgresError):
            _wait_for(connect())
            return True
        return False

    process, command, port = _start(prepare, is_ready, directory / "log")
    yield server_at(port)
    end(process, command.stop_signal)


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a Kafka of this test process."""
    directory = tmp_path_factory.mktemp("kafka")
    program, library = java.find(), jars.ensure()

    def prepare(port: int) -> Command:
        broker = local_kafka.Broker(directory, program, library, port, ports.any_free([port]))
        local_kafka.prepare(broker)
        return local_kafka.command(broker)

    process, command, port = _start(prepare, local_kafka.answers, directory / "log")
    yield f"127.0.0.1:{port}"
    end(process, command.stop_signal)


_numbers = itertools.count(1)


@pytest.fixture
def postgres(postgres_server: local_postgres.Server) -> Iterator[str]:
    """The DSN of a fresh, empty database."""
    name = f"test_{next(_numbers)}"
    _wait_for(_administer(postgres_server, f"CREATE DATABASE {name}"))
    yield postgres_server.dsn(name)
    _wait_for(_administer(postgres_server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def kafka(kafka_server: str) -> str:
    """Bootstrap servers of a real broker, shared by the tests of this process: use `topic_prefix`."""
    return kafka_server


@pytest.fixture
def topic_prefix() -> str:
    """What keeps this test's topics and groups apart from every other's."""
    return f"t{uuid.uuid4().hex[:10]}."


async def _administer(server: local_postgres.Server, statement: str) -> None:
    connection = await asyncpg.connect(server.dsn("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _wait_for(work: object) -> None:
    """Run a coroutine on a loop of its own, leaving pytest-asyncio's alone."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)  # type: ignore[arg-type]
    finally:
        loop.close()
