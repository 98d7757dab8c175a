"""Whether the databases' own sums add up, asked as the role that may read every schema."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import asyncpg

# A2: what is planned of a notification is the sum over the states of its deliveries. In a block, a delivery's state is
# a byte: its place here, from 1; 0 is a delivery nobody has spoken of.
STATES = (
    *("queued", "sending", "retrying", "unknown", "sent", "on_phone", "delivered", "not_delivered"),
    *("carrier_rejected", "no_funds", "failed", "expired", "cancelled"),
)
UNKNOWN = "notifications whose totals the tracker does not know"
OTHERWISE = "notifications planned otherwise than tracked"
CHECKS = {
    "notifications whose states do not add up to what is planned": f"""
        SELECT count(*) FROM tracker.notification
        WHERE totals_known AND {" + ".join(STATES)} <> expected_planned
           OR totals_known AND suppressed <> expected_suppressed
           OR LEAST({", ".join(STATES)}, suppressed) < 0""",
    UNKNOWN: """
        SELECT count(*) FROM tracker.notification WHERE NOT totals_known AND rejected IS NULL""",
    OTHERWISE: """
        SELECT count(*) FROM (
            SELECT tenant, notification_id, sum(planned) AS planned, sum(suppressed) AS suppressed
            FROM audience.page WHERE step = 0 AND generation = 0 GROUP BY tenant, notification_id
        ) AS plan FULL JOIN tracker.notification AS tracked USING (tenant, notification_id)
        WHERE (plan.planned IS DISTINCT FROM tracked.expected_planned
           OR plan.suppressed IS DISTINCT FROM tracked.expected_suppressed) AND tracked.rejected IS NULL""",
    "notifications planned otherwise than staged": """
        SELECT count(*) FROM (
            SELECT tenant, notification_id, sum(planned) AS planned
            FROM audience.page GROUP BY tenant, notification_id HAVING sum(planned) > 0
        ) AS plan FULL JOIN (
            SELECT tenant, notification_id, sum(n) AS staged FROM dispatch.chunk GROUP BY tenant, notification_id
        ) AS chunks USING (tenant, notification_id)
        WHERE plan.planned IS DISTINCT FROM chunks.staged""",
    "claims held beyond their lease": """
        SELECT count(*) FROM dispatch.claim WHERE state = 'held' AND lease_until < now()""",
    "results that were not reported": "SELECT count(*) FROM dispatch.claim WHERE state = 'done'",
    "claims that are not settled": "SELECT count(*) FROM dispatch.claim WHERE state = 'held'",
    "deliveries that wait at the dispatcher": "SELECT count(*) FROM dispatch.item",
    "chunks that are not claimed to their end": "SELECT count(*) FROM dispatch.chunk WHERE open",
}
# Of what not every platform has.
WHERE_THERE_IS: Mapping[str, tuple[str, str]] = {
    "accounts whose money is not all there": (
        "dispatch.account",
        "SELECT count(*) FROM dispatch.account WHERE balance + reserved + spent <> topped_up OR reserved <> 0",
    ),
    "messages nobody published": ("tracker.outbox", "SELECT count(*) FROM tracker.outbox"),
    "expansions that nobody takes up": ("audience.parked", "SELECT count(*) FROM audience.parked"),
}
LOW_BITS = 32  # of a delivery's id: its step and number within the notification

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Place(NamedTuple):
    """Where a dead letter came from, and whose it is."""

    schema: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True)
class Expected:
    """What the fault itself explains: the dead letters there must and may be, how many reports are of messages that
    were never sent, and of how many notifications somebody spoke that do not exist."""

    buried: Set[Place] = frozenset()
    may_be_buried: Set[Place] = frozenset()
    strays: int = 0
    spoken_of: int = 0


async def look(dsn: str, expected: Expected) -> list[str]:
    """What is wrong in the books, in words; nothing when all is well."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await examine(connection, expected)
    finally:
        await connection.close()


async def examine(connection: Connection, expected: Expected) -> list[str]:
    """The same on a connection."""
    checks = dict(CHECKS)
    for what, (table, query) in WHERE_THERE_IS.items():
        if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table):
            checks[what] = query
    counts = {what: await connection.fetchval(query) for what, query in checks.items()}
    counts["notifications whose counters are not what their deliveries say"] = await _miscounted(connection)
    counts["receipts that found no delivery"] = await _orphans(connection) - expected.strays
    for what in (UNKNOWN, OTHERWISE):
        counts[what] -= expected.spoken_of
    letters = await _letters(connection)
    counts["dead letters that should not be there"] = len(letters - expected.buried - expected.may_be_buried)
    counts["poisonous records without a dead letter"] = len(expected.buried - letters)
    return [f"{count} {what}" for what, count in counts.items() if count > 0]


async def _miscounted(connection: Connection) -> int:
    """Every delivery is counted where it stands."""
    kept: dict[tuple[str, int], Counter[int]] = defaultdict(Counter)
    for row in await connection.fetch("SELECT tenant, block_id, states FROM tracker.block"):
        kept[row["tenant"], row["block_id"].int >> LOW_BITS].update(row["states"])
    wrong = 0
    for row in await connection.fetch(f"SELECT tenant, notification_id, {', '.join(STATES)} FROM tracker.notification"):
        states = kept[row["tenant"], row["notification_id"].int >> LOW_BITS]
        wrong += any(states[code] != row[state] for code, state in enumerate(STATES, 1))
    return wrong


async def _orphans(connection: Connection) -> int:
    """A report that was told twice, byte for byte, is kept twice and counts once."""
    query = "SELECT count(DISTINCT (key, rest)) FROM tracker.orphan"
    number: int = await connection.fetchval(query)
    return number


async def _letters(connection: Connection) -> set[Place]:
    tables = await connection.fetch(
        "SELECT table_schema FROM information_schema.tables WHERE table_name = 'dead_letter' ORDER BY table_schema"
    )
    return {
        Place(schema, row["topic"], row["partition"], row["record_offset"])
        for (schema,) in tables
        for row in await connection.fetch(f"SELECT topic, partition, record_offset FROM {schema}.dead_letter")
    }
