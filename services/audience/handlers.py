"""Message in, messages out."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from libs.bus import Effect, Outgoing, Received
from libs.contracts.commands import ExpandAudience, Recipients
from libs.contracts.events import NotificationControlled
from libs.contracts.routing import Channel
from libs.contracts.topics import EXPAND_AUDIENCE, SEND
from libs.storage import Connection
from libs.telemetry import metrics
from services.audience.gating import WAITING, newest
from services.audience.keeping import closed_page, plan_recipients
from services.audience.listing import Page, page_at
from services.audience.messages import FrozenPage, Totals, messages_of
from services.audience.planning import PagePlan, choose, plan_page
from services.audience.repository import (
    NONE_EARLIER,
    ContactRepository,
    EarlierPages,
    GateRepository,
    PageKey,
    Parked,
    PlanRepository,
    StoredPage,
)
from services.audience.resolving import ListResolver

# A full page takes some 10 ms to plan: between two of them the other lane's batches may pass.
LARGE = 1_000

Addresses = Mapping[tuple[str, Channel], Mapping[int, str | None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A page that is asked for, with all that is needed to decide it but the contacts: whom it is about, and what came
    before."""

    command: ExpandAudience
    whom: Page | Recipients
    earlier: EarlierPages
    traceparent: str | None

    @property
    def client_ids(self) -> Sequence[int]:
        """Whose addresses are needed."""
        if isinstance(self.whom, Page):
            return self.whom.client_ids
        return [client_id for client_id in self.whom.client_ids if client_id is not None]


class AudienceHandlers:
    """What audience does with what it hears."""

    def __init__(
        self, lists: ListResolver, contacts: ContactRepository, plans: PlanRepository, gates: GateRepository
    ) -> None:
        self._lists = lists
        self._contacts = contacts
        self._plans = plans
        self._gates = gates

    async def on_expand_audience(self, received: Sequence[Received[ExpandAudience]], connection: Connection) -> Effect:
        """Decide the pages, freeze them, and publish what is frozen. A page that was decided before is decided once
        more and the result dropped in favour of what is stored: cheaper than asking every time. The same goes for one
        behind a shut gate: it is parked, or nobody is on it."""
        asked = {PageKey.of(record.message): await self._ask(record, connection) for record in received}
        addresses = await self._addresses(connection, list(asked.values()))
        plans = {}
        for key, one in asked.items():
            plans[key] = _plan(one, addresses)
            if isinstance(one.whom, Page) and len(one.whom) >= LARGE:
                await asyncio.sleep(0)
        frozen = await self._plans.freeze(connection, plans)
        held_back = {key: one for key, one in asked.items() if key not in frozen}
        if held_back:
            frozen = {**frozen, **await self._behind_gates(connection, held_back)}
        publish = []
        for record in received:
            key = PageKey.of(record.message)
            if key not in frozen:
                continue
            earlier = asked[key].earlier
            page = FrozenPage(frozen[key].plan, frozen[key].decided_at, Totals(earlier.planned, earlier.suppressed))
            publish += [
                Outgoing(said.topic, said.message, said.partition) for said in messages_of(record.message, page)
            ]
        return Effect(
            publish, committed=partial(_count, [one.plan for one in frozen.values()], len(asked) - len(frozen))
        )

    async def on_notification_controlled(
        self, received: Sequence[Received[NotificationControlled]], connection: Connection
    ) -> Effect:
        """Keep what is in force now, and send on its way what was parked and waits no longer."""
        decided = newest(record.message for record in received)
        await self._gates.put(connection, decided)
        released = await self._gates.released(connection, decided)
        return Effect(
            [
                Outgoing(EXPAND_AUDIENCE[one.command.notification.lane], one.command, traceparent=one.traceparent)
                for one in released
            ]
        )

    async def _ask(self, record: Received[ExpandAudience], connection: Connection) -> Asked:
        command = record.message
        if command.recipients is not None:
            return Asked(command, command.recipients, NONE_EARLIER, record.traceparent)
        whole = await self._lists.resolve(command.tenant, command.notification.to)
        earlier = await self._plans.earlier(connection, PageKey.of(command))
        return Asked(command, page_at(whole, command.cursor), earlier, record.traceparent)

    async def _addresses(self, connection: Connection, asked: Sequence[Asked]) -> Addresses:
        """The addresses of everybody named by id, one read for each tenant and channel of the batch."""
        wanted: dict[tuple[str, Channel], list[int]] = {}
        for one in asked:
            wanted.setdefault((one.command.tenant, one.command.notification.channel), []).extend(one.client_ids)
        return {
            (tenant, channel): await self._contacts.addresses(connection, tenant, channel, client_ids)
            for (tenant, channel), client_ids in wanted.items()
        }

    async def _behind_gates(
        self, connection: Connection, asked: Mapping[PageKey, Asked]
    ) -> Mapping[PageKey, StoredPage]:
        """Park what may go on one day, and close what may not; the closed pages."""
        gates = await self._gates.shut(connection, list(asked))
        waiting = {key: one for key, one in asked.items() if gates[key.tenant, key.notification_id] in WAITING}
        await self._gates.park(connection, {key: Parked(one.command, one.traceparent) for key, one in waiting.items()})
        closed = {key: closed_page(one.command) for key, one in asked.items() if key not in waiting}
        return await self._plans.close(connection, closed) if closed else {}


def _plan(asked: Asked, addresses: Addresses) -> PagePlan:
    command, notification = asked.command, asked.command.notification
    contacts = addresses[command.tenant, notification.channel]
    partitions = SEND[notification.channel][notification.lane].partitions
    if isinstance(asked.whom, Recipients):
        return plan_recipients(
            asked.whom,
            notification.channel,
            contacts,
            tenant=command.tenant,
            ordering_key=notification.ordering_key,
            partitions=partitions,
        )
    return plan_page(
        choose(asked.whom, notification.channel, contacts, asked.earlier.address_keys),
        tenant=command.tenant,
        ordering_key=notification.ordering_key,
        partitions=partitions,
        first_number=command.next_number,
        next_cursor=asked.whom.next_cursor,
    )


def _count(plans: Sequence[PagePlan], parked: int) -> None:
    metrics.AUDIENCE_PAGES.inc(len(plans))
    metrics.AUDIENCE_PARKED.inc(parked)
    metrics.AUDIENCE_RECIPIENTS.labels("planned").inc(sum(plan.planned_count for plan in plans))
    metrics.AUDIENCE_RECIPIENTS.labels("suppressed").inc(sum(plan.suppressed_count for plan in plans))
