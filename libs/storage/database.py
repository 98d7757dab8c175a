"""The pool: every wait has an end, and a database that is away comes out as Unavailable."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
from asyncpg.transaction import Transaction

from libs.contracts.failures import Unavailable
from libs.storage.failures import is_passing, is_passing_at_connect, reason

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 5.0  # seconds a pool waits for connections in use
IDLE_CONNECTION_LIFETIME = 300.0
# The server gives up first, so that a slow statement costs an error and not the connection.
SERVER_SHARE = 0.9


class Database:
    """A pool of connections to one database. Values are asyncpg's own: jsonb is text both ways, uuid is UUID.

    A session is not reset between its users, which would cost every transaction a round trip: leave nothing behind in
    one. Settings are set_config(..., true), locks pg_advisory_xact_lock, temporary tables ON COMMIT DROP.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", *, acquire_timeout: float) -> None:
        self._pool = pool
        self._acquire_timeout = acquire_timeout

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        service: str,
        max_size: int = 4,
        command_timeout: float = 5.0,
        acquire_timeout: float = 2.0,
    ) -> "Database":
        """Open a pool; timeouts in seconds. Raises Unavailable when Postgres does not let us in."""
        pool = await asyncpg.create_pool(
            dsn,
            min_size=0,  # with a floor asyncpg logs a stack at every attempt to restore it
            max_size=max_size,
            timeout=acquire_timeout,
            command_timeout=command_timeout,
            max_inactive_connection_lifetime=IDLE_CONNECTION_LIFETIME,
            server_settings=_server_settings(service, command_timeout),
            reset=_keep_session,
        )
        database = cls(pool, acquire_timeout=acquire_timeout)
        try:
            await database.ping()
        except BaseException:
            pool.terminate()
            raise
        return database

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """A connection inside BEGIN .. COMMIT; any exception rolls back.

        Raises Unavailable when the commit is not known to have happened because of the database.
        """
        return self._transaction()

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for single reads. Raises Unavailable."""
        return self._connection()

    async def ping(self) -> None:
        """Raises Unavailable unless Postgres answers."""
        async with self.connection() as connection:
            await connection.fetchval("SELECT 1")

    async def close(self) -> None:
        """Let what is in use finish for a few seconds, then close."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._pool.close()
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            logger.warning("connections closed the hard way", extra={"reason": reason(error)})
            self._pool.terminate()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            except BaseException as error:
                if _is_usable_after(error):
                    await _roll_back(connection, transaction)
                raise
            await transaction.commit()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        connection = await self._acquire()
        try:
            yield connection
        except BaseException as error:
            was_gone = _is_gone(connection)
            # Waiting for the clean-up of a statement nobody answered costs another timeout: drop the connection.
            if not _is_usable_after(error):
                _drop(connection)
            if is_passing(error) or (isinstance(error, asyncpg.InterfaceError) and was_gone):
                raise Unavailable(reason(error)) from error
            raise
        finally:
            await self._release(connection)

    async def _acquire(self) -> "PoolConnectionProxy[asyncpg.Record]":
        try:
            return await self._pool.acquire(timeout=self._acquire_timeout)
        except Exception as error:
            if is_passing_at_connect(error):
                raise Unavailable(reason(error)) from error
            raise

    async def _release(self, connection: "PoolConnectionProxy[asyncpg.Record]") -> None:
        try:
            await self._pool.release(connection)
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # asyncpg has closed the connection; the work on it was finished before.
            logger.warning("connection lost on release", extra={"reason": reason(error)})


async def _keep_session(connection: Connection) -> None:
    """Nothing to reset: an open transaction is rolled back before this is asked."""


async def _roll_back(connection: Connection, transaction: Transaction) -> None:
    """The failure that led here is on its way already, and the server rolls back when a connection goes."""
    try:
        await transaction.rollback()
    except asyncpg.InterfaceError:
        _drop(connection)  # it has gone, which is what the failure was about
    except (OSError, asyncpg.PostgresError) as error:
        logger.warning("rollback failed", extra={"reason": reason(error)})
        _drop(connection)


def _drop(connection: Connection) -> None:
    """Close at once, without a word to the server."""
    # A connection that was lost has left its proxy already, which then refuses every call.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


def _is_gone(connection: Connection) -> bool:
    """Whether a connection that we hold was lost. asyncpg says of it that it has been released to the pool."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


def _is_usable_after(error: BaseException) -> bool:
    """Whether the connection is between statements: the server answered, or the caller's own code failed."""
    return isinstance(error, Exception) and not isinstance(error, OSError | asyncpg.InternalClientError)


def _server_settings(service: str, command_timeout: float) -> dict[str, str]:
    statement_ms = str(max(1, int(command_timeout * 1000 * SERVER_SHARE)))
    return {
        "application_name": service,
        "statement_timeout": statement_ms,
        "idle_in_transaction_session_timeout": str(max(10_000, int(command_timeout * 4_000))),
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "15000",
    }
