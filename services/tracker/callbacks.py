"""The loop that tells callers what became of their deliveries, who asked to hear of it.

It compares what is with what was told, so that nothing is missed and nothing told twice, in whatever order it came.
"""

import json
from collections.abc import Callable, Sequence

from libs.bus import Outgoing
from libs.contracts.notification import Callback
from libs.contracts.topics import DELIVERY_SETTLED, NOTIFICATION_COMPLETED
from libs.storage import Connection, Database
from services.tracker.answers import summary_of
from services.tracker.asking import Recipient
from services.tracker.blocks import delivery_at
from services.tracker.repository import (
    CallbackRepository,
    Listener,
    OutboxRepository,
    read_progress,
    read_recipients,
)
from services.tracker.settling import Caller, End, Settled, completed_event, end_of, news, settled_events

NOTIFICATIONS = 16  # in one transaction
BLOCKS = 16  # of one notification


class Callbacks:
    """One of any number beside each other."""

    def __init__(self, database: Database, published: Callable[[], None]) -> None:
        self._database = database
        self._published = published
        self._callbacks = CallbackRepository()
        self._outbox = OutboxRepository()

    async def run(self) -> bool:
        """One bounded look; whether there may be more to do now. Raises Unavailable."""
        async with self._database.transaction() as connection:
            listeners = await self._callbacks.take(connection, limit=NOTIFICATIONS)
            outgoing = [one for listener in listeners for one in await self._look(connection, listener)]
            await self._outbox.add(connection, outgoing)
        if outgoing:
            self._published()
        return bool(listeners)

    async def _look(self, connection: Connection, listener: Listener) -> Sequence[Outgoing]:
        caller = _caller(listener)
        outgoing, has_more = await self._settled(connection, listener, caller)
        told = listener.told
        if not has_more:
            end, completed = await self._completed(connection, listener, caller)
            if end is not None and end != told:
                outgoing, told = [*outgoing, *completed], end
        await self._callbacks.looked(connection, listener.notification, told, has_more=has_more)
        return outgoing

    async def _settled(
        self, connection: Connection, listener: Listener, caller: Caller
    ) -> tuple[Sequence[Outgoing], bool]:
        tenant = caller.tenant
        blocks = await self._callbacks.news(connection, listener.notification, limit=BLOCKS)
        found = {key: news(block, told) for key, (block, told) in blocks.items()}
        changed = [key for key, (offsets, _) in found.items() if offsets]
        recipients = await read_recipients(connection, tenant, changed) if changed else {}
        settled = []
        for key in changed:
            for offset in found[key][0]:
                standing = blocks[key][0].at(offset)
                if standing is not None:
                    recipient = recipients.get((key.number, offset), Recipient())
                    settled.append(Settled(delivery_at(key, offset), recipient, standing))
        await self._callbacks.tell(connection, tenant, {key: told for key, (_, told) in found.items()})
        outgoing = [
            Outgoing(DELIVERY_SETTLED, event, traceparent=listener.traceparent)
            for event in settled_events(caller, settled, listener.now)
        ]
        return outgoing, len(blocks) == BLOCKS

    async def _completed(
        self, connection: Connection, listener: Listener, caller: Caller
    ) -> tuple[End | None, Sequence[Outgoing]]:
        progress = await read_progress(connection, caller.tenant, caller.notification_id)
        if progress is None:
            return None, ()
        summary = summary_of(progress)
        end = end_of(
            summary.state,
            round=progress.rounds,
            totals_known=progress.totals_known,
            unfinished=summary.unfinished,
        )
        if end is None:
            return None, ()
        event = completed_event(
            caller,
            end,
            planned=summary.planned,
            suppressed=summary.suppressed,
            counts=summary.counts,
            at=listener.now,
        )
        return end, (Outgoing(NOTIFICATION_COMPLETED, event, traceparent=listener.traceparent),)


def _caller(listener: Listener) -> Caller:
    asked = json.loads(listener.body)
    callback = Callback.model_validate(asked["callback"])
    return Caller(*listener.notification, callback, asked.get("external", {}))
