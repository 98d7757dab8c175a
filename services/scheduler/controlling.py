"""Commands obeyed: read what is in force, decide, store. One way for those from the bus and those over HTTP."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from libs.bus import Outgoing
from libs.contracts.commands import ControlNotification
from libs.contracts.ids import NotificationId
from libs.contracts.topics import NOTIFICATION_CONTROLLED
from libs.storage import Connection
from services.scheduler.announcing import Change, Controlled, announcement
from services.scheduler.control import Place, Refusal, Standing, Start, arrived, decide, missed
from services.scheduler.repository import ControlRepository, WaitingRepository
from services.scheduler.repository.waiting import Key
from services.scheduler.waiting import Waiting


@dataclass(frozen=True, slots=True)
class Command:
    """A command and the trace it came with."""

    order: ControlNotification
    traceparent: str | None

    @property
    def key(self) -> Key:
        """Whom it is about."""
        return self.order.tenant, self.order.notification_id


@dataclass(frozen=True, slots=True)
class Obeyed:
    """What is in force after commands, and why some of them (by event id) were refused."""

    standings: Mapping[Key, Standing]
    refusals: Mapping[UUID, Refusal | None]


class Controller:
    """Keeps waiting notifications and what is in force for them in step. Each method belongs in a transaction."""

    def __init__(self, waiting: WaitingRepository, controls: ControlRepository) -> None:
        self._waiting = waiting
        self._controls = controls

    async def obey(self, connection: Connection, commands: Sequence[Command], *, announced: bool) -> Obeyed:
        """Obey these in their order. One that was obeyed before changes nothing; its verdict is given again."""
        await self._controls.alone(connection)
        verdicts = dict(await self._controls.verdicts(connection, [command.order for command in commands]))
        standings = await self._standings(connection, sorted({command.key for command in commands}))
        changes: dict[Key, Change] = {}
        decided = []
        for command in commands:
            order, before = command.order, standings[command.key]
            if order.event_id in verdicts:
                continue
            decision = decide(before, order.action, _start(order))
            verdicts[order.event_id] = decision.refusal
            decided.append((order, decision))
            if decision.standing != before:
                changes[command.key] = _change(command.key, decision.standing, order.event_id, command.traceparent)
                standings[command.key] = decision.standing
        await self._store(connection, changes, announced=announced)
        await self._controls.keep_verdicts(connection, decided)
        return Obeyed(standings, verdicts)

    async def welcome(self, connection: Connection, rows: Sequence[Waiting]) -> None:
        """Hold what waits, and let what was controlled before it came find its state."""
        await self._controls.beside(connection)
        fresh = await self._waiting.hold(connection, rows)
        stored = await self._controls.read(connection, sorted(fresh))
        changes: dict[Key, Change] = {
            key: _change(key, arrived(stored[key].standing, row.start), row.acceptance_id, row.traceparent)
            for row in rows
            if (key := (row.tenant, row.notification.notification_id)) in stored
        }
        await self._store(connection, changes, announced=True)

    async def hold_missed(self, connection: Connection, *, limit: int, grace: timedelta) -> int:
        """Hold what should have left `grace` ago and earlier; how many of at most `limit`."""
        await self._controls.alone(connection)
        stopped = {one.key: one for one in await self._waiting.stop_missed(connection, limit=limit, grace=grace)}
        standings = await self._standings(connection, sorted(stopped))
        changes = {
            key: _change(key, missed(standings[key], one.late), one.acceptance_id, one.traceparent)
            for key, one in stopped.items()
        }
        await self._controls.write(connection, list(changes.values()), announced=False)
        return len(changes)

    async def announcements(self, connection: Connection, keys: Collection[Key]) -> Sequence[Outgoing]:
        """What there is to say of these now."""
        return [outgoing(row) for row in (await self._controls.read(connection, sorted(keys))).values()]

    async def _standings(self, connection: Connection, keys: Collection[Key]) -> dict[Key, Standing]:
        places = await self._waiting.places(connection, keys)
        return await self._controls.standings(connection, keys, places)

    async def _store(self, connection: Connection, changes: Mapping[Key, Change], *, announced: bool) -> None:
        if changes:
            await self._controls.write(connection, list(changes.values()), announced=announced)
            await self._waiting.follow(connection, {key: change.standing for key, change in changes.items()})


def outgoing(row: Controlled) -> Outgoing:
    """What is in force, as Kafka gets it."""
    return Outgoing(NOTIFICATION_CONTROLLED, announcement(row), traceparent=row.traceparent)


def may_leave(standings: Mapping[Key, Standing]) -> bool:
    """Whether one of them may be due now that it was controlled."""
    return any(one.place is Place.WAITING for one in standings.values())


def _start(order: ControlNotification) -> Start | None:
    return None if order.at is None else Start(order.at, order.wall, order.zone)


def _change(key: Key, standing: Standing, cause: UUID, traceparent: str | None) -> Change:
    tenant, identity = key
    return Change(tenant, NotificationId(identity), standing, cause, traceparent)
