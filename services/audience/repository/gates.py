"""Gates, and the commands that wait behind one."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from libs.contracts.commands import ExpandAudience
from libs.contracts.events import NotificationControlled
from libs.contracts.states import Gate
from libs.storage import Connection
from services.audience.gating import WAITING
from services.audience.packing import pack_command, unpack_command
from services.audience.repository.plans import PageKey


class Parked(NamedTuple):
    """A command that was put aside, with the trace it belongs to."""

    command: ExpandAudience
    traceparent: str | None


class GateRepository:
    """The tables audience.gate and audience.parked.

    Who parks a page holds its gate's row in share, who changes a gate holds it alone: so a command is either seen by
    the change or sees it.
    """

    async def put(self, connection: Connection, decided: Sequence[NotificationControlled]) -> None:
        """Keep what was decided last, one decision a notification; what is older than what stands changes nothing."""
        await connection.execute(
            """
            INSERT INTO audience.gate AS known (tenant, notification_id, gate, revision)
            SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::integer[])
            ON CONFLICT (tenant, notification_id) DO UPDATE
            SET gate = excluded.gate, revision = excluded.revision, controlled_at = now()
            WHERE known.revision < excluded.revision
            """,
            *zip(*((one.tenant, one.notification_id, one.gate, one.revision) for one in decided), strict=True),
        )

    async def shut(self, connection: Connection, keys: Sequence[PageKey]) -> Mapping[tuple[str, UUID], Gate]:
        """The gates of these pages' notifications, where they are shut; they stay so until the transaction ends."""
        rows = await connection.fetch(
            """
            SELECT tenant, notification_id, gate FROM audience.gate
            WHERE gate <> 'open' AND (tenant, notification_id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))
            ORDER BY tenant, notification_id FOR SHARE
            """,
            [key.tenant for key in keys],
            [key.notification_id for key in keys],
        )
        return {(row["tenant"], row["notification_id"]): Gate(row["gate"]) for row in rows}

    async def park(self, connection: Connection, commands: Mapping[PageKey, Parked]) -> None:
        """Put commands aside; one that was put aside before stays as it is."""
        await connection.executemany(
            """
            INSERT INTO audience.parked (tenant, notification_id, step, generation, page, command, traceparent)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
            """,
            [(*key, pack_command(one.command), one.traceparent) for key, one in commands.items()],
        )

    async def released(self, connection: Connection, decided: Sequence[NotificationControlled]) -> Sequence[Parked]:
        """The commands of these notifications that wait for nothing any more and whose page is not frozen yet."""
        rows = await connection.fetch(
            """
            SELECT parked.command, parked.traceparent
            FROM audience.parked JOIN audience.gate USING (tenant, notification_id)
            WHERE (tenant, notification_id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))
              AND gate <> ALL ($3::text[])
              AND NOT EXISTS (SELECT FROM audience.page
                              WHERE page.tenant = parked.tenant AND page.notification_id = parked.notification_id
                                AND page.step = parked.step AND page.generation = parked.generation
                                AND page.page = parked.page)
            ORDER BY tenant, notification_id, step, generation, page
            """,
            [one.tenant for one in decided],
            [one.notification_id for one in decided],
            list(WAITING),
        )
        return [Parked(unpack_command(row["command"]), row["traceparent"]) for row in rows]
