"""A database of the audience service, and commands to give it."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from importlib.resources import files
from uuid import UUID

import pytest

from libs.bus import Outgoing, Received
from libs.contracts.audience import Addresses, Audience, ClientIds
from libs.contracts.commands import ExpandAudience, Recipients
from libs.contracts.content import Content, SmsContent
from libs.contracts.events import NotificationControlled
from libs.contracts.ids import NotificationId, event_id, new_notification_id
from libs.contracts.notification import Notification, order_key
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.contracts.states import Gate
from libs.storage import Database, migrate
from services.audience.handlers import AudienceHandlers
from services.audience.repository import ContactRepository, GateRepository, PlanRepository
from services.audience.resolving import ListResolver

Ask = Callable[..., ExpandAudience]


@pytest.fixture
def ask() -> Ask:
    """Makes the command for a notification's first page."""

    def make(
        to: Audience | Iterable[int],
        *,
        tenant: str = "demo",
        lane: Lane = Lane.BULK,
        content: Content | None = None,
        ordering_key: str | None = None,
        notification_id: UUID | None = None,
        step: int = 0,
        generation: int = 0,
        channel: Channel = Channel.SMS,
        recipients: Recipients | None = None,
    ) -> ExpandAudience:
        number = NotificationId(notification_id or new_notification_id(datetime.now(UTC)))
        notification = Notification(
            notification_id=number,
            lane=lane,
            channel=channel,
            to=to if isinstance(to, ClientIds | Addresses) or hasattr(to, "kind") else ClientIds(client_ids=tuple(to)),
            content=content or SmsContent(text="Your table is ready"),
            message_class=MessageClass.TRANSACTIONAL,
            ordering_key=ordering_key,
        )
        part = recipients.numbers[0] if recipients else 0
        return ExpandAudience(
            type="expand.audience",
            event_id=event_id(
                number, "expand.audience", f"{step}:{generation}:{part}" if recipients else f"{step}:{generation}"
            ),
            tenant=tenant,
            key=order_key(notification),
            occurred_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
            notification=notification,
            step=step,
            generation=generation,
            page=part,
            recipients=recipients,
        )

    return make


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    """The audience's database, migrated and empty."""
    database = await Database.connect(postgres, service="audience-test", command_timeout=60)
    await migrate(database, schema="audience", folder=files("services.audience") / "migrations")
    yield database
    await database.close()


@pytest.fixture
def save(database: Database) -> Callable[..., object]:
    """Writes contacts: `await save({1: "+48600000001", 2: None})`; known ones are changed."""

    async def write(phones: dict[int, str | None], tenant: str = "demo") -> None:
        contacts = ContactRepository()
        async with database.transaction() as connection:
            await contacts.stage(connection, ["phone"], phones.items())
            await contacts.merge_staged(connection, tenant, ["phone"])

    return write


class NoContent:
    """Where nothing is stored."""

    async def get(self, tenant: str, sha256: str) -> bytes:
        """Nothing."""
        raise LookupError(sha256)


@pytest.fixture
def handlers() -> AudienceHandlers:
    """The handlers over the real repositories."""
    return AudienceHandlers(ListResolver(NoContent()), ContactRepository(), PlanRepository(), GateRepository())


_offsets = itertools.count()


@pytest.fixture
def run(database: Database, handlers: AudienceHandlers) -> Callable[..., object]:
    """What the bus does with a batch: `await run(command, ...)` commits and answers what would be published."""

    async def work(*commands: ExpandAudience) -> list[Outgoing]:
        async with database.transaction() as connection:
            effect = await handlers.on_expand_audience([received(command) for command in commands], connection)
        assert effect.committed is not None
        effect.committed()
        return list(effect.publish)

    return work


@pytest.fixture
def decide() -> Callable[..., NotificationControlled]:
    """Makes the event that says what is in force for a command's notification."""

    def make(about: ExpandAudience, gate: Gate, revision: int = 1) -> NotificationControlled:
        number = about.notification.notification_id
        return NotificationControlled(
            event_id=event_id(number, "notification.controlled", revision),
            tenant=about.tenant,
            key=str(number),
            occurred_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
            notification_id=number,
            gate=gate,
            revision=revision,
        )

    return make


@pytest.fixture
def control(database: Database, handlers: AudienceHandlers) -> Callable[..., object]:
    """`await control(event, ...)` commits what is in force and answers what would be published."""

    async def work(*events: NotificationControlled) -> list[Outgoing]:
        async with database.transaction() as connection:
            effect = await handlers.on_notification_controlled(
                [Received(one, "notification.controlled", 0, next(_offsets), one.occurred_at, None) for one in events],
                connection,
            )
        return list(effect.publish)

    return work


def received(command: ExpandAudience) -> Received[ExpandAudience]:
    """A command as it comes from Kafka."""
    topic = f"expand.audience.{command.notification.lane}"
    return Received(command, topic, 0, next(_offsets), datetime(2026, 11, 22, 12, tzinfo=UTC), None)
