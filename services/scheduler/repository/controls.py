"""SQL of what is in force, and of the commands that were obeyed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from libs.contracts.commands import ControlNotification
from libs.contracts.ids import NotificationId
from libs.contracts.states import Gate
from libs.storage import Connection
from services.scheduler.announcing import Change, Controlled
from services.scheduler.control import Decision, Place, Refusal, Standing, Start
from services.scheduler.repository.waiting import Key

# Whoever controls is alone, and nobody takes an acceptance meanwhile: of a control and an acceptance that come at the
# same time, the later one sees the earlier one.
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('carillon.scheduler.control', 0))"
_BESIDE = "SELECT pg_advisory_xact_lock_shared(hashtextextended('carillon.scheduler.control', 0))"

_READ = """
SELECT c.*
  FROM unnest($1::text[], $2::uuid[]) AS wanted(tenant, notification_id)
  JOIN scheduler.control c USING (tenant, notification_id)
"""

_TO_ANNOUNCE = "SELECT * FROM scheduler.control WHERE NOT announced ORDER BY changed_at LIMIT $1"

_WRITE = """
INSERT INTO scheduler.control AS c (tenant, notification_id, gate, revision, waits, at, wall, zone, missed, reason,
                                    cause_id, traceparent, changed_at, announced)
SELECT *, now(), $13::bool
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::int[], $5::bool[], $6::timestamptz[], $7::text[], $8::text[],
              $9::bool[], $10::text[], $11::uuid[], $12::text[])
    ON CONFLICT (tenant, notification_id) DO UPDATE
   SET gate = excluded.gate, revision = excluded.revision, waits = excluded.waits, at = excluded.at,
       wall = excluded.wall, zone = excluded.zone, missed = excluded.missed, reason = excluded.reason,
       cause_id = excluded.cause_id, traceparent = excluded.traceparent, changed_at = excluded.changed_at,
       announced = excluded.announced
"""

_ANNOUNCED = """
UPDATE scheduler.control c
   SET announced = true
  FROM unnest($1::text[], $2::uuid[], $3::int[]) AS told(tenant, notification_id, revision)
 WHERE c.tenant = told.tenant AND c.notification_id = told.notification_id AND c.revision = told.revision
"""

_VERDICTS = """
SELECT k.command_id, k.refusal
  FROM unnest($1::text[], $2::uuid[], $3::uuid[]) AS wanted(tenant, notification_id, command_id)
  JOIN scheduler.control_command k USING (tenant, notification_id, command_id)
"""

_KEEP_VERDICTS = """
INSERT INTO scheduler.control_command (tenant, notification_id, command_id, action, refusal, revision)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::int[])
    ON CONFLICT DO NOTHING
"""


class ControlRepository:
    """What is in force for whatever was controlled."""

    async def alone(self, connection: Connection) -> None:
        """Wait until nobody else controls or takes acceptances; the others wait until this transaction ends."""
        await connection.execute(_ALONE)

    async def beside(self, connection: Connection) -> None:
        """Wait until nobody controls; whoever wants to waits until this transaction ends."""
        await connection.execute(_BESIDE)

    async def read(self, connection: Connection, keys: Collection[Key]) -> Mapping[Key, Controlled]:
        """What is stored of these; who was never controlled is missing."""
        rows = await connection.fetch(_READ, [tenant for tenant, _ in keys], [identity for _, identity in keys])
        return {(row["tenant"], row["notification_id"]): _controlled(row) for row in rows}

    async def standings(
        self, connection: Connection, keys: Collection[Key], places: Mapping[Key, Standing]
    ) -> dict[Key, Standing]:
        """What is in force for each, given where each is (`WaitingRepository.places`)."""
        stored = await self.read(connection, keys)
        return {
            key: _at_place(stored[key].standing, place) if key in stored else place
            for key in keys
            for place in [places.get(key, Standing())]
        }

    async def write(self, connection: Connection, changes: Sequence[Change], *, announced: bool) -> None:
        """Store what is in force now. `announced`: it comes to Kafka by itself, with the record that led to it."""
        if not changes:
            return
        standings = [change.standing for change in changes]
        starts = [one.start for one in standings]
        await connection.execute(
            _WRITE,
            [change.tenant for change in changes],
            [change.notification_id for change in changes],
            [one.gate for one in standings],
            [one.revision for one in standings],
            [one.place is Place.WAITING for one in standings],
            [start and start.at for start in starts],
            [start and start.wall for start in starts],
            [start and start.zone for start in starts],
            [one.missed for one in standings],
            [one.reason for one in standings],
            [change.cause_id for change in changes],
            [change.traceparent for change in changes],
            announced,
        )

    async def to_announce(self, connection: Connection, *, limit: int) -> Sequence[Controlled]:
        """What Kafka does not have yet, the oldest first."""
        return [_controlled(row) for row in await connection.fetch(_TO_ANNOUNCE, limit)]

    async def announced(self, connection: Connection, told: Sequence[Controlled]) -> None:
        """Note that Kafka has them; what has changed since is still to be told."""
        await connection.execute(
            _ANNOUNCED,
            [one.tenant for one in told],
            [one.notification_id for one in told],
            [one.standing.revision for one in told],
        )

    async def verdicts(
        self, connection: Connection, commands: Sequence[ControlNotification]
    ) -> Mapping[UUID, Refusal | None]:
        """What came of those that were decided before, by event id."""
        rows = await connection.fetch(
            _VERDICTS,
            [command.tenant for command in commands],
            [command.notification_id for command in commands],
            [command.event_id for command in commands],
        )
        return {row["command_id"]: Refusal[row["refusal"]] if row["refusal"] else None for row in rows}

    async def keep_verdicts(
        self, connection: Connection, decided: Sequence[tuple[ControlNotification, Decision]]
    ) -> None:
        """Remember what came of these."""
        if not decided:
            return
        await connection.execute(
            _KEEP_VERDICTS,
            [command.tenant for command, _ in decided],
            [command.notification_id for command, _ in decided],
            [command.event_id for command, _ in decided],
            [command.action for command, _ in decided],
            [decision.refusal.name if decision.refusal else None for _, decision in decided],
            [decision.standing.revision for _, decision in decided],
        )


def _controlled(row: Any) -> Controlled:
    start = None if row["at"] is None else Start(row["at"], row["wall"], row["zone"])
    return Controlled(
        tenant=row["tenant"],
        notification_id=NotificationId(row["notification_id"]),
        standing=Standing(
            place=Place.WAITING if row["waits"] else Place.UNKNOWN,
            gate=Gate(row["gate"]),
            revision=row["revision"],
            start=start,
            missed=row["missed"],
            reason=row["reason"],
        ),
        cause_id=row["cause_id"],
        traceparent=row["traceparent"],
        changed_at=row["changed_at"],
    )


def _at_place(stored: Standing, place: Standing) -> Standing:
    """What is stored, for a notification that may have moved since."""
    start = stored.start if place.place is Place.UNKNOWN else place.start
    return replace(stored, place=place.place, start=start)
