"""Message in: what must wait is held, what is ordered is obeyed."""

from collections.abc import Callable, Sequence

from libs.bus import Effect, Received
from libs.contracts.commands import ControlNotification
from libs.contracts.events import NotificationAccepted
from libs.storage import Connection
from services.scheduler.controlling import Command, Controller, may_leave
from services.scheduler.waiting import waiting


class SchedulerHandlers:
    """`wake` is called when something waits that may be due before the next look."""

    def __init__(self, controller: Controller, wake: Callable[[], None]) -> None:
        self._controller = controller
        self._wake = wake

    async def on_notification_accepted(
        self, received: Sequence[Received[NotificationAccepted]], connection: Connection
    ) -> Effect:
        """Hold what waits: the row is the message. What was controlled before it came is told again, now as waiting."""
        rows = [row for record in received if (row := waiting(record.message, record.traceparent)) is not None]
        if not rows:
            return Effect()
        await self._controller.welcome(connection, rows)
        keys = {(row.tenant, row.notification.notification_id) for row in rows}
        return Effect(publish=await self._controller.announcements(connection, keys), committed=self._wake)

    async def on_control_notification(
        self, received: Sequence[Received[ControlNotification]], connection: Connection
    ) -> Effect:
        """Obey, and tell what is in force: again where it was told before, for nobody knows whether Kafka has it."""
        commands = [Command(record.message, record.traceparent) for record in received]
        obeyed = await self._controller.obey(connection, commands, announced=True)
        publish = await self._controller.announcements(connection, {command.key for command in commands})
        return Effect(publish=publish, committed=self._wake if may_leave(obeyed.standings) else None)
