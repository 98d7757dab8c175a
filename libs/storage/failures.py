"""Which failures are the database's and pass with time, and which are ours."""

import asyncpg

# SQLSTATE prefixes after which the same work succeeds later.
PASSING = (
    "08",  # connection exception
    "25006",  # read-only transaction: the primary has moved
    "25P03",  # idle in transaction timeout
    "25P04",  # transaction timeout
    "40",  # rollback: serialization failure, deadlock, completion unknown
    "53",  # insufficient resources: disk full, out of memory, too many connections
    "55P03",  # lock not available
    "57",  # operator intervention: statement timeout, shutdown, crash, starting up
    "58",  # system error outside Postgres: I/O error
)

# The server behind the name is another one now, or its types have changed under a cached statement.
_MOVED = asyncpg.TargetServerAttributeNotMatched | asyncpg.OutdatedSchemaCacheError
_CLOSED = ("closed", "closing", "connection has been terminated")


def is_passing(error: BaseException) -> bool:
    """Whether `error` tells that Postgres is away or too slow, and nothing about the work itself."""
    match error:
        case asyncpg.PostgresError():
            return (error.sqlstate or "").startswith(PASSING)
        case asyncpg.DataError() | asyncpg.ClientConfigurationError():
            return False
        case asyncpg.InterfaceError():
            return any(word in str(error) for word in _CLOSED)
        case asyncpg.InternalClientError() if not isinstance(error, _MOVED):
            # How the driver trips over a farewell that came while the connection was idle.
            return "cannot switch to state" in str(error)
        case _:
            return isinstance(error, TimeoutError | ConnectionError | _MOVED)


def is_passing_at_connect(error: BaseException) -> bool:
    """The same while a connection is being made: nothing of the caller's work has been tried yet, so whatever
    Postgres or the network answers (a role that does not exist yet, a name that does not resolve) may pass."""
    if isinstance(error, asyncpg.ClientConfigurationError):
        return False
    return isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | OSError) or is_passing(error)


def reason(error: BaseException) -> str:
    """What went wrong in a few words, without anything the caller sent."""
    if isinstance(error, asyncpg.PostgresError):
        return f"postgres: {type(error).__name__} {error.sqlstate or ''}".rstrip()
    if isinstance(error, TimeoutError):
        return "postgres: no answer in time"
    return f"postgres: {type(error).__name__}"
