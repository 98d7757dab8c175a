import asyncpg
import pytest

from libs.storage.failures import is_passing, is_passing_at_connect, reason


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.PostgresConnectionError("08000"),
        asyncpg.TooManyConnectionsError("53300"),
        asyncpg.DiskFullError("53100"),
        asyncpg.AdminShutdownError("57P01"),
        asyncpg.CrashShutdownError("57P02"),
        asyncpg.CannotConnectNowError("57P03"),
        asyncpg.QueryCanceledError("57014"),
        asyncpg.SerializationError("40001"),
        asyncpg.DeadlockDetectedError("40P01"),
        asyncpg.StatementCompletionUnknownError("40003"),
        asyncpg.LockNotAvailableError("55P03"),
        asyncpg.IdleInTransactionSessionTimeoutError("25P03"),
        asyncpg.ReadOnlySQLTransactionError("25006"),
        asyncpg.PostgresIOError("58030"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InterfaceError("pool is closing"),
        asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
        TimeoutError(),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_passes(error: Exception) -> None:
    assert is_passing(error)
    assert is_passing_at_connect(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError("23505"),
        asyncpg.ForeignKeyViolationError("23503"),
        asyncpg.PostgresSyntaxError("42601"),
        asyncpg.UndefinedTableError("42P01"),
        asyncpg.InsufficientPrivilegeError("42501"),
        asyncpg.CharacterNotInRepertoireError("22021"),
        asyncpg.InFailedSQLTransactionError("25P02"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        asyncpg.DataError("invalid input for query argument $1: 'closed'"),
        FileNotFoundError("a file of ours"),
        ValueError("closed"),
        KeyError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_our_own(error: Exception) -> None:
    assert not is_passing(error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.InvalidPasswordError("28P01"), True),
        (asyncpg.InvalidCatalogNameError("3D000"), True),
        (OSError("Name or service not known"), True),
        (asyncpg.ClientConfigurationError("invalid DSN"), False),
        (ValueError("x"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nothing_of_the_work_is_wrong_while_connecting(error: Exception, expected: bool) -> None:
    assert is_passing_at_connect(error) is expected


def test_the_reason_repeats_no_data() -> None:
    error = asyncpg.UniqueViolationError("duplicate key (+48600100200)")
    assert reason(error) == "postgres: UniqueViolationError 23505"
    assert reason(TimeoutError()) == "postgres: no answer in time"
