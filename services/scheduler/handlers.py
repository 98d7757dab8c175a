"""Message in: what must wait is held."""

from collections.abc import Callable, Sequence

from libs.bus import Effect, Received
from libs.contracts.events import NotificationAccepted
from libs.storage import Connection
from services.scheduler.repository import WaitingRepository
from services.scheduler.waiting import waiting


class SchedulerHandlers:
    """`wake` is called when something new waits: its instant may come before the next look."""

    def __init__(self, repository: WaitingRepository, wake: Callable[[], None]) -> None:
        self._repository = repository
        self._wake = wake

    async def on_notification_accepted(
        self, received: Sequence[Received[NotificationAccepted]], connection: Connection
    ) -> Effect:
        """Hold what waits. Nothing follows at once: the row is the message, and a duplicate finds it."""
        rows = [row for record in received if (row := waiting(record.message, record.traceparent)) is not None]
        await self._repository.hold(connection, rows)
        return Effect(committed=self._wake if rows else None)
