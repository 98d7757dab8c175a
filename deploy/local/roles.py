"""The database, and one Postgres role for each service that owns a schema in it."""

from collections.abc import Mapping, Sequence

import asyncpg

from deploy.local.services import DATABASE, READER, ROLES
from deploy.local.trouble import Trouble


async def ensure(superuser_dsn: str, passwords: Mapping[str, str]) -> None:
    """Create what is missing and give every role its password; harmless when all is there.

    A service makes its own schema, so it may create in the database; `reader` may read every schema and nothing else.
    """
    connection = await _connect(superuser_dsn)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
        known = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
        await connection.execute(";".join(statements(known, passwords)))
    finally:
        await connection.close()


async def _connect(dsn: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(dsn, timeout=10)
    except asyncpg.InvalidPasswordError:
        raise Trouble("the database was made with another password than the one in .run/secrets") from None


def statements(known: set[str], passwords: Mapping[str, str]) -> Sequence[str]:
    """The SQL, in order. Passwords are URL-safe (see `secrets`), names are constants: nothing needs quoting."""
    result = [f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC"]
    for role in (*ROLES, READER):
        verb = "ALTER" if role in known else "CREATE"
        result.append(f"{verb} ROLE {role} LOGIN PASSWORD '{passwords[role]}'")
    result += [f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {DATABASE} TO {role}" for role in ROLES]
    result += [f"GRANT CONNECT ON DATABASE {DATABASE} TO {READER}", f"GRANT pg_read_all_data TO {READER}"]
    return result
