"""SQL of what waits, is being released or was."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from libs.contracts.ids import NotificationId
from libs.contracts.notification import Notification
from libs.contracts.routing import Lane
from libs.storage import Connection
from libs.wall_clock import TZDATA
from services.scheduler.control import Place, Standing, Start
from services.scheduler.timing import Outlook
from services.scheduler.waiting import Claim, Released, Waiting, state_behind

Key = tuple[str, UUID]

_HOLD = """
INSERT INTO scheduler.waiting (tenant, notification_id, at, due, wall, zone, tzdata, urgent, body, acceptance_id,
                               traceparent)
SELECT tenant, notification_id, at, at, wall, zone, CASE WHEN zone IS NOT NULL THEN $10 END, urgent, body,
       acceptance_id, traceparent
  FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::bool[], $7::bytea[], $8::uuid[],
              $9::text[])
       AS new(tenant, notification_id, at, wall, zone, urgent, body, acceptance_id, traceparent)
    ON CONFLICT DO NOTHING
RETURNING tenant, notification_id
"""

_RELEASED = "w.tenant, w.body, w.at, w.wall, w.zone, w.acceptance_id, w.traceparent, w.due, w.released_at"

# One lane is not served at the cost of the other.
_FIRE = f"""
WITH urgent AS (
    SELECT tenant, notification_id FROM scheduler.waiting
     WHERE state = 'waiting' AND urgent AND due <= now() AND due > now() - $2::interval
     ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
), bulk AS (
    SELECT tenant, notification_id FROM scheduler.waiting
     WHERE state = 'waiting' AND NOT urgent AND due <= now() AND due > now() - $2::interval
     ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
), chosen AS (
    SELECT * FROM urgent UNION ALL SELECT * FROM bulk
)
UPDATE scheduler.waiting w
   SET state = 'fired', released_at = now(), ended_at = now()
  FROM chosen
 WHERE w.tenant = chosen.tenant AND w.notification_id = chosen.notification_id
RETURNING {_RELEASED}
"""  # noqa: S608 - columns of ours

_CLAIM = """
INSERT INTO scheduler.claim (claim_id, owner, claimed_at, tenants, notification_ids) VALUES ($1, $2, now(), $3, $4)
"""

_TAKE_OVER = """
UPDATE scheduler.claim
   SET owner = $1, claimed_at = now()
 WHERE claim_id = (SELECT claim_id FROM scheduler.claim WHERE claimed_at <= now() - $2::interval
                    ORDER BY claimed_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING claim_id, tenants, notification_ids
"""

_FIRED = f"""
SELECT {_RELEASED}
  FROM unnest($1::text[], $2::uuid[]) AS claimed(tenant, notification_id)
  JOIN scheduler.waiting w USING (tenant, notification_id)
"""  # noqa: S608 - columns of ours

_DISOWN = "UPDATE scheduler.claim SET claimed_at = '-infinity' WHERE owner = $1"

_FINISH = "DELETE FROM scheduler.claim WHERE claim_id = $1"

_OUTLOOK = """
SELECT now() AS now,
       least((SELECT min(due) FROM scheduler.waiting WHERE state = 'waiting' AND urgent),
             (SELECT min(due) FROM scheduler.waiting WHERE state = 'waiting' AND NOT urgent)) AS next_due,
       (SELECT min(claimed_at) FROM scheduler.claim) AS oldest_claim
"""

_STOP_MISSED = """
WITH late AS (
    SELECT tenant, notification_id FROM scheduler.waiting
     WHERE state = 'waiting' AND urgent = ANY ('{f,t}') AND due <= now() - $2::interval
     ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE scheduler.waiting w
   SET state = 'stopped'
  FROM late
 WHERE w.tenant = late.tenant AND w.notification_id = late.notification_id
RETURNING w.tenant, w.notification_id, w.acceptance_id, w.traceparent, now() - w.due AS late
"""

# Only what is not released is locked, so that nobody waits for a release to end or makes it wait.
_PLACES = """
SELECT w.tenant, w.notification_id, w.at, w.wall, w.zone
  FROM unnest($1::text[], $2::uuid[]) AS wanted(tenant, notification_id)
  JOIN scheduler.waiting w USING (tenant, notification_id)
 WHERE w.state IN ('waiting', 'stopped')
 ORDER BY w.tenant, w.notification_id
   FOR UPDATE OF w
"""

_ENDED = """
SELECT w.tenant, w.notification_id
  FROM unnest($1::text[], $2::uuid[]) AS wanted(tenant, notification_id)
  JOIN scheduler.waiting w USING (tenant, notification_id)
 WHERE w.state NOT IN ('waiting', 'stopped')
"""

_MOVE = """
UPDATE scheduler.waiting w
   SET state = new.state,
       at = new.at, wall = new.wall, zone = new.zone,
       tzdata = CASE WHEN new.zone IS NOT NULL THEN $7 END,
       due = greatest(new.at, now()),
       ended_at = CASE WHEN new.state = 'cancelled' THEN now() END,
       body = CASE WHEN new.state = 'cancelled' THEN '' ELSE w.body END
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::text[])
       AS new(tenant, notification_id, state, at, wall, zone)
 WHERE w.tenant = new.tenant AND w.notification_id = new.notification_id AND w.state IN ('waiting', 'stopped')
"""


@dataclass(frozen=True, slots=True)
class Missed:
    """One that was to leave `late` ago and was stopped instead."""

    key: Key
    acceptance_id: UUID
    traceparent: str | None
    late: timedelta


class WaitingRepository:
    """What waits, what is being released, what was."""

    async def hold(self, connection: Connection, rows: Sequence[Waiting]) -> set[Key]:
        """Keep each once; which are new."""
        if not rows:
            return set()
        fresh = await connection.fetch(
            _HOLD,
            [row.tenant for row in rows],
            [row.notification.notification_id for row in rows],
            [row.start.at for row in rows],
            [row.start.wall for row in rows],
            [row.start.zone for row in rows],
            [row.notification.lane is Lane.URGENT for row in rows],
            [row.notification.model_dump_json().encode() for row in rows],
            [row.acceptance_id for row in rows],
            [row.traceparent for row in rows],
            TZDATA,
        )
        return {(row["tenant"], row["notification_id"]) for row in fresh}

    async def claim(self, connection: Connection, *, owner: str, limit: int, grace: timedelta) -> Claim | None:
        """Take what is due for less than `grace`, at most `limit` of each lane and nothing that another scheduler is
        taking now. None: nothing is due."""
        released = [_released(row) for row in await connection.fetch(_FIRE, limit, grace)]
        if not released:
            return None
        claim = Claim(uuid4(), released)
        tenants = [one.tenant for one in released]
        ids = [one.notification.notification_id for one in released]
        await connection.execute(_CLAIM, claim.claim_id, owner, tenants, ids)
        return claim

    async def take_over(self, connection: Connection, *, owner: str, lease: timedelta) -> Claim | None:
        """The oldest of what somebody took longer than `lease` ago and did not finish, if there is any."""
        row = await connection.fetchrow(_TAKE_OVER, owner, lease)
        if row is None:
            return None
        fired = await connection.fetch(_FIRED, row["tenants"], row["notification_ids"])
        return Claim(row["claim_id"], [_released(one) for one in fired])

    async def disown(self, connection: Connection, *, owner: str) -> None:
        """End the leases of an owner who is dead: whatever it took may be taken at once."""
        await connection.execute(_DISOWN, owner)

    async def finish(self, connection: Connection, claim: Claim) -> None:
        """Note that Kafka has it all."""
        await connection.execute(_FINISH, claim.claim_id)

    async def outlook(self, connection: Connection) -> Outlook:
        """What comes next."""
        row = await connection.fetchrow(_OUTLOOK)
        assert row is not None  # a SELECT without FROM always gives one
        return Outlook(row["now"], row["next_due"], row["oldest_claim"])

    async def stop_missed(self, connection: Connection, *, limit: int, grace: timedelta) -> Sequence[Missed]:
        """Stop what should have left `grace` ago or earlier; at most `limit`."""
        return [
            Missed((row["tenant"], row["notification_id"]), row["acceptance_id"], row["traceparent"], row["late"])
            for row in await connection.fetch(_STOP_MISSED, limit, grace)
        ]

    async def places(self, connection: Connection, keys: Iterable[Key]) -> Mapping[Key, Standing]:
        """Where each is, and the start of what waits: locked until the transaction ends, as if nobody had ever touched
        it. What is not there is unknown."""
        tenants, ids = _columns(keys)
        standings = {
            (row["tenant"], row["notification_id"]): Standing(
                Place.WAITING, start=Start(row["at"], row["wall"], row["zone"])
            )
            for row in await connection.fetch(_PLACES, tenants, ids)
        }
        if len(standings) < len(ids):
            ended = await connection.fetch(_ENDED, tenants, ids)
            standings |= {(row["tenant"], row["notification_id"]): Standing(Place.RELEASED) for row in ended}
        return standings

    async def follow(self, connection: Connection, standings: Mapping[Key, Standing]) -> None:
        """Put what waits where its standing says: behind its gate, with its start, and due from now on at the
        earliest, so that what was stopped over its start is not taken for missed."""
        starts = {key: (one, one.start) for key, one in standings.items() if one.place is Place.WAITING and one.start}
        if not starts:
            return
        tenants, ids = _columns(starts)
        await connection.execute(
            _MOVE,
            tenants,
            ids,
            [state_behind(one.gate) for one, _ in starts.values()],
            [start.at for _, start in starts.values()],
            [start.wall for _, start in starts.values()],
            [start.zone for _, start in starts.values()],
            TZDATA,
        )


def _released(row: Any) -> Released:
    return Released(
        tenant=row["tenant"],
        notification=Notification.model_validate_json(row["body"]),
        start=Start(row["at"], row["wall"], row["zone"]),
        acceptance_id=row["acceptance_id"],
        traceparent=row["traceparent"],
        due=row["due"],
        released_at=row["released_at"],
    )


def _columns(keys: Iterable[Key]) -> tuple[list[str], list[NotificationId]]:
    both = list(keys)
    return [tenant for tenant, _ in both], [NotificationId(identity) for _, identity in both]
