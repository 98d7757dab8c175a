import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from deploy.local import ports, postgres_programs
from deploy.local import postgres as local_postgres
from deploy.local.processes import end, spawn
from libs.contracts.failures import Unavailable
from libs.storage import Database

pytestmark = pytest.mark.postgres


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    database = await Database.connect(postgres, service="test", max_size=2, command_timeout=2, acquire_timeout=10)
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE note (id int PRIMARY KEY, text text)")
    yield database
    await database.close()


async def _count(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM note"))


async def test_a_transaction_commits(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO note VALUES (1)")
    assert await _count(database) == 1
    await database.ping()


async def test_an_exception_rolls_back_and_comes_out_as_it_is(database: Database) -> None:
    with pytest.raises(KeyError):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO note VALUES (1)")
            raise KeyError("ours")
    assert await _count(database) == 0


async def test_a_programming_error_is_not_unavailable(database: Database) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with database.transaction() as connection:
            await connection.execute("SELECT * FROM nowhere")
    with pytest.raises(asyncpg.UniqueViolationError):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO note VALUES (1), (1)")
    assert await _count(database) == 0


async def test_the_session_is_bounded_by_the_server_too(database: Database) -> None:
    async with database.connection() as connection:
        settings = {
            name: await connection.fetchval("SELECT current_setting($1)", name)
            for name in ("application_name", "statement_timeout", "idle_in_transaction_session_timeout")
        }
    assert settings == {
        "application_name": "test",
        "statement_timeout": "1800ms",
        "idle_in_transaction_session_timeout": "10s",
    }


async def test_a_slow_statement_is_unavailable_and_costs_no_connection(database: Database) -> None:
    async with database.connection() as connection:
        before = connection.get_server_pid()
    with pytest.raises(Unavailable) as caught:
        async with database.transaction() as connection:
            await connection.execute("SELECT pg_sleep(30)")
    assert isinstance(caught.value.__cause__, asyncpg.QueryCanceledError)
    async with database.connection() as connection:
        assert connection.get_server_pid() == before


async def test_a_full_pool_is_unavailable(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database.connection(), database.connection():
        monkeypatch.setattr(database, "_acquire_timeout", 0.05)
        with pytest.raises(Unavailable, match="no answer in time"):
            await database.ping()
    monkeypatch.undo()
    await database.ping()


async def test_a_backend_that_is_ended_is_unavailable_once(database: Database) -> None:
    with pytest.raises(Unavailable):
        async with database.transaction() as connection:
            async with database.connection() as other:
                await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
            await connection.execute("INSERT INTO note VALUES (1)")
    assert await _count(database) == 0


async def test_deadlock_is_unavailable(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO note VALUES (1), (2)")
    both = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> None:
        async with database.transaction() as connection:
            await connection.execute("SET LOCAL deadlock_timeout = '20ms'")
            await connection.execute("UPDATE note SET text = 'x' WHERE id = $1", first)
            await both.wait()
            await connection.execute("UPDATE note SET text = 'x' WHERE id = $1", second)

    results = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    assert sorted(type(result) for result in results if result is not None) == [Unavailable]


async def test_cancelling_gives_the_connection_back(database: Database) -> None:
    async def wait() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO note VALUES (1)")
            await connection.execute("SELECT pg_sleep(30)")

    tasks = [asyncio.create_task(wait()) for _ in range(2)]
    async with asyncio.timeout(30):
        await asyncio.wait(tasks, timeout=0.05)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert await _count(database) == 0


async def test_values_are_the_drivers_own(database: Database) -> None:
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT $1::uuid AS id, $2::jsonb AS body", UUID(int=7), '{"a":1}')
    assert row is not None
    assert row["id"] == UUID(int=7)
    assert isinstance(row["id"], UUID)
    assert row["body"] == '{"a": 1}'


async def test_a_database_that_is_away_is_unavailable_at_the_start() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(Unavailable):
            await Database.connect(f"postgresql://u:hunter2@127.0.0.1:{port}/d", service="test")


async def test_a_database_that_never_answers_is_unavailable_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"postgresql://u:hunter2@127.0.0.1:{silent.getsockname()[1]}/d?sslmode=disable"
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable) as caught:
                await Database.connect(dsn, service="test", acquire_timeout=0.2)
    assert "hunter2" not in str(caught.value)


async def test_a_wrong_password_is_unavailable_and_a_wrong_dsn_is_not(postgres: str) -> None:
    user_info = postgres.split("//")[1].split("@", maxsplit=1)[0]
    with pytest.raises(Unavailable, match="postgres: "):
        await Database.connect(postgres.replace(user_info, "nobody:x"), service="test")
    with pytest.raises(asyncpg.ClientConfigurationError):
        await Database.connect("mysql://x", service="test")


class Restartable:
    """A Postgres of this test alone, which it may kill, freeze and start again."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "log"
        programs = postgres_programs.find()
        self._server = local_postgres.Server(directory / "data", programs, ports.any_free(), "tests-only")
        local_postgres.prepare(self._server, durable=False)
        self.dsn = self._server.dsn("postgres")

    def start(self) -> None:
        self._process = spawn(local_postgres.command(self._server), self._log)

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process.poll() is None:
            end(self._process, signal.SIGINT)


@pytest.fixture
def restartable(tmp_path: Path) -> Iterator[Restartable]:
    server = Restartable(tmp_path)
    server.start()
    yield server
    server.stop()


async def _until_it_answers(what: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(Unavailable):
                await what()  # type: ignore[misc]
                return
            await asyncio.sleep(0.05)


async def test_the_pool_recovers_from_a_killed_postgres(restartable: Restartable) -> None:
    opened: list[Database] = []

    async def connect() -> None:
        opened.append(await Database.connect(restartable.dsn, service="test", max_size=3))

    await _until_it_answers(connect)
    [database] = opened
    async with database.connection(), database.connection(), database.connection():
        pass
    restartable.kill()
    for _ in range(4):
        with pytest.raises(Unavailable):
            await database.ping()
    restartable.start()
    await _until_it_answers(database.ping)
    async with database.connection(), database.connection(), database.connection():
        pass
    await database.close()


async def test_a_frozen_backend_is_bounded_and_leaves_no_wedged_pool(postgres: str) -> None:
    database = await Database.connect(postgres, service="test", max_size=1, command_timeout=0.5, acquire_timeout=10)
    async with database.connection() as connection:
        pid = connection.get_server_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable):
            async with database.transaction() as connection:
                await connection.execute("SELECT 1")
        await database.ping()
    finally:
        os.kill(pid, signal.SIGCONT)
    await database.close()


async def test_a_frozen_backend_in_the_middle_of_a_transaction(postgres: str) -> None:
    database = await Database.connect(postgres, service="test", max_size=1, command_timeout=0.5, acquire_timeout=10)
    pid = 0
    try:
        with pytest.raises(Unavailable):
            async with database.transaction() as connection:
                pid = connection.get_server_pid()
                os.kill(pid, signal.SIGSTOP)
                await connection.execute("SELECT 1")
        await database.ping()
    finally:
        os.kill(pid, signal.SIGCONT)
    await database.close()


async def test_close_does_not_wait_for_ever(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.storage.database.CLOSE_TIMEOUT", 0.1)
    database = await Database.connect(postgres, service="test")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(database.connection())
        await database.close()
    with pytest.raises(Unavailable):
        await database.ping()
