"""Message in, messages out."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from libs.bus import Effect, Outgoing, Received
from libs.contracts.commands import ExpandAudience
from libs.contracts.routing import Channel
from libs.contracts.topics import SEND
from libs.storage import Connection
from libs.telemetry import metrics
from services.audience.listing import Page, page_at
from services.audience.messages import FrozenPage, Totals, messages_of
from services.audience.planning import PagePlan, choose, plan_page
from services.audience.repository import ContactRepository, EarlierPages, PageKey, PlanRepository
from services.audience.resolving import ListResolver

# A full page takes some 10 ms to plan: between two of them the other lane's batches may pass.
LARGE = 1_000

Addresses = Mapping[tuple[str, Channel], Mapping[int, str | None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A page that is asked for, with all that is needed to decide it but the contacts."""

    command: ExpandAudience
    page: Page
    earlier: EarlierPages


class AudienceHandlers:
    """What audience does with what it hears."""

    def __init__(self, lists: ListResolver, contacts: ContactRepository, plans: PlanRepository) -> None:
        self._lists = lists
        self._contacts = contacts
        self._plans = plans

    async def on_expand_audience(self, received: Sequence[Received[ExpandAudience]], connection: Connection) -> Effect:
        """Decide the pages, freeze them, and publish what is frozen. A page that was decided before is decided once
        more and the result dropped in favour of what is stored: cheaper than asking every time."""
        asked = {PageKey.of(record.message): await self._ask(record.message, connection) for record in received}
        addresses = await self._addresses(connection, list(asked.values()))
        plans = {}
        for key, one in asked.items():
            plans[key] = _plan(one, addresses)
            if len(one.page) >= LARGE:
                await asyncio.sleep(0)
        frozen = await self._plans.freeze(connection, plans)
        publish = []
        for record in received:
            key = PageKey.of(record.message)
            earlier = asked[key].earlier
            page = FrozenPage(frozen[key].plan, frozen[key].decided_at, Totals(earlier.planned, earlier.suppressed))
            publish += [
                Outgoing(said.topic, said.message, said.partition) for said in messages_of(record.message, page)
            ]
        return Effect(publish, committed=partial(_count, [frozen[key].plan for key in asked]))

    async def _ask(self, command: ExpandAudience, connection: Connection) -> Asked:
        whole = await self._lists.resolve(command.tenant, command.notification.to)
        earlier = await self._plans.earlier(connection, PageKey.of(command))
        return Asked(command, page_at(whole, command.cursor), earlier)

    async def _addresses(self, connection: Connection, asked: Sequence[Asked]) -> Addresses:
        """The addresses of everybody named by id, one read for each tenant and channel of the batch."""
        wanted: dict[tuple[str, Channel], list[int]] = {}
        for one in asked:
            wanted.setdefault((one.command.tenant, one.command.notification.channel), []).extend(one.page.client_ids)
        return {
            (tenant, channel): await self._contacts.addresses(connection, tenant, channel, client_ids)
            for (tenant, channel), client_ids in wanted.items()
        }


def _plan(asked: Asked, addresses: Addresses) -> PagePlan:
    notification, tenant = asked.command.notification, asked.command.tenant
    contacts = addresses[tenant, notification.channel]
    return plan_page(
        choose(asked.page, notification.channel, contacts, asked.earlier.address_keys),
        tenant=tenant,
        ordering_key=notification.ordering_key,
        partitions=SEND[notification.channel][notification.lane].partitions,
        first_number=asked.command.next_number,
        next_cursor=asked.page.next_cursor,
    )


def _count(plans: Sequence[PagePlan]) -> None:
    metrics.AUDIENCE_PAGES.inc(len(plans))
    metrics.AUDIENCE_RECIPIENTS.labels("planned").inc(sum(plan.planned_count for plan in plans))
    metrics.AUDIENCE_RECIPIENTS.labels("suppressed").inc(sum(plan.suppressed_count for plan in plans))
