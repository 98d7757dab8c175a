"""Whether the databases' own sums add up, asked as the role that may read every schema."""

import asyncpg

# A2: what is planned of a notification is the sum over the states of its deliveries.
STATES = (
    *("queued", "sending", "retrying", "unknown", "sent", "on_phone", "delivered", "not_delivered"),
    *("carrier_rejected", "no_funds", "failed", "expired", "cancelled"),
)
CHECKS = {
    "notifications whose states do not add up to what is planned": f"""
        SELECT count(*) FROM tracker.notification
        WHERE totals_known AND {" + ".join(STATES)} <> expected_planned
           OR totals_known AND suppressed <> expected_suppressed
           OR LEAST({", ".join(STATES)}, suppressed) < 0""",
    "notifications whose totals the tracker does not know": """
        SELECT count(*) FROM tracker.notification WHERE NOT totals_known AND rejected IS NULL""",
    "notifications planned otherwise than tracked": """
        SELECT count(*) FROM (
            SELECT tenant, notification_id, sum(planned) AS planned, sum(suppressed) AS suppressed
            FROM audience.page GROUP BY tenant, notification_id
        ) AS plan FULL JOIN tracker.notification AS tracked USING (tenant, notification_id)
        WHERE plan.planned IS DISTINCT FROM tracked.expected_planned
           OR plan.suppressed IS DISTINCT FROM tracked.expected_suppressed""",
    "claims that are not settled": "SELECT count(*) FROM dispatch.claim WHERE state IN ('held', 'done')",
    "deliveries that wait at the dispatcher": "SELECT count(*) FROM dispatch.item",
    "chunks that are not claimed to their end": "SELECT count(*) FROM dispatch.chunk WHERE open",
}
DEAD_LETTERS = """
    SELECT table_schema FROM information_schema.tables WHERE table_name = 'dead_letter' ORDER BY table_schema"""


async def look(dsn: str) -> list[str]:
    """What is wrong in the books, in words; nothing when all is well."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        checks = dict(CHECKS)
        for row in await connection.fetch(DEAD_LETTERS):
            schema = row["table_schema"]
            checks[f"dead letters of {schema}"] = f"SELECT count(*) FROM {schema}.dead_letter"
        counts = {what: await connection.fetchval(query) for what, query in checks.items()}
    finally:
        await connection.close()
    return [f"{count} {what}" for what, count in counts.items() if count]
