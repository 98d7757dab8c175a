"""Somebody pauses, resumes or cancels a notification: keep it, and let what waits hear of it."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from uuid import UUID

from libs.bus import Effect, Received
from libs.contracts.events import NotificationControlled
from libs.contracts.states import Gate
from libs.storage import Connection
from services.dispatchers.repository import Decision, GateRepository


class GateHandlers:
    """Every channel's dispatchers hear every decision, and any of them keeps it for all. `decided` is called once it is
    in force, with the tenants that may go on with something."""

    def __init__(self, gates: GateRepository, decided: Callable[[Iterable[str]], None]) -> None:
        self._gates = gates
        self._decided = decided

    async def on_notification_controlled(
        self, batch: Sequence[Received[NotificationControlled]], connection: Connection
    ) -> Effect:
        """From the commit on nothing more is claimed of what is paused, held or cancelled."""
        decisions = newest(record.message for record in batch)
        await self._gates.decide(connection, decisions)
        await self._gates.flag(connection)
        opened = {each.tenant for each in decisions if each.gate is Gate.OPEN}
        return Effect(committed=partial(self._decided, opened))


def newest(events: Iterable[NotificationControlled]) -> Sequence[Decision]:
    """The decision with the highest revision of each notification."""
    decisions: dict[tuple[str, UUID], Decision] = {}
    for event in events:
        key = event.tenant, event.notification_id
        if key not in decisions or decisions[key].revision < event.revision:
            decisions[key] = Decision(*key, event.gate, event.revision)
    return list(decisions.values())
