"""Dead letters as rows of the service's own schema, and the store the bus commits them with."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import PackageNotFoundError, version

from libs.contracts.dead_letters import DeadLetter
from libs.storage.database import Connection, Database

REASON_LIMIT = 2_000  # characters


class DeadLetters:
    """The dead letters of one service."""

    def __init__(self, schema: str) -> None:
        self._insert = f"""
            INSERT INTO "{schema}".dead_letter (topic, partition, record_offset, key, value, header_names,
                                                header_values, error_class, reason, service_version, recorded_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            ON CONFLICT (topic, partition, record_offset) DO NOTHING
            """  # noqa: S608 - the schema is a name of ours

    async def bury(self, connection: Connection, letters: Sequence[DeadLetter]) -> None:
        """Keep `letters`; one that stands there already (topic, partition, offset) is left as it is."""
        if not letters:
            return
        await connection.executemany(self._insert, [_row(letter) for letter in letters])


class Store:
    """What the bus needs of a service's database: its transactions, and a place for what cannot be processed."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._dead_letters = DeadLetters(schema)

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """A transaction of the service's database. Raises Unavailable."""
        return self._database.transaction()

    async def bury(self, connection: Connection, letters: Sequence[DeadLetter]) -> None:
        """Keep `letters` in the transaction of their batch."""
        await self._dead_letters.bury(connection, letters)


def _row(letter: DeadLetter) -> tuple[object, ...]:
    return (
        letter.topic,
        letter.partition,
        letter.offset,
        letter.key,
        letter.value,
        [_storable(name) for name, _ in letter.headers],
        [value for _, value in letter.headers],
        _storable(letter.error_class),
        _storable(letter.reason)[:REASON_LIMIT],
        _service_version(),
        letter.recorded_at,
    )


def _storable(text: str) -> str:
    """`text` as Postgres takes it: no NUL, no lone surrogates."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()


def _service_version() -> str:
    try:
        return version("carillon")
    except PackageNotFoundError:
        return "unknown"
