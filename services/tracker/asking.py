"""Asking the audience once more for some recipients of a notification: a resend, or the next step of its fallback."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from libs.contracts.audience import Addresses, Audience, ClientIds
from libs.contracts.commands import MAX_CHUNK, ExpandAudience, Recipients
from libs.contracts.ids import NotificationId, event_id
from libs.contracts.notification import Notification, order_key


class Recipient(NamedTuple):
    """Whom a delivery goes to, as far as is known."""

    channel: str | None = None
    client_id: int | None = None
    address: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether the audience can find them by this."""
        return self.client_id is not None or self.address is not None


class Asked(NamedTuple):
    """A recipient to ask for."""

    number: int
    recipient: Recipient


def written(notification: Notification) -> str:
    """What is kept of a notification: everything but its recipients, of whom there may be many."""
    return notification.model_dump_json(exclude={"to"}, exclude_none=True)


def read(body: str, to: Audience) -> Notification:
    """A notification as `written` kept it, for some recipients."""
    return Notification.model_validate({**json.loads(body), "to": to})


def commands(
    body: str, tenant: str, asked: Sequence[Asked], *, step: int, generation: int, at: datetime
) -> Iterator[ExpandAudience]:
    """The commands for `asked` (by ascending number, each known), at most 500 in one. `body` is as `written`.

    Their ids come from the first number: it is asked for once in a step and generation.
    """
    whole: Notification | None = None
    for low in range(0, len(asked), MAX_CHUNK):
        part = asked[low : low + MAX_CHUNK]
        to = _audience(part)
        whole = whole or _of_step(read(body, to), step)
        notification = whole.model_copy(update={"to": to})
        first = part[0].number
        yield ExpandAudience(
            event_id=command_id(notification.notification_id, step, generation, first),
            tenant=tenant,
            key=order_key(notification),
            occurred_at=at,
            notification=notification,
            step=step,
            generation=generation,
            page=first,
            next_number=first,
            recipients=Recipients(
                numbers=tuple(one.number for one in part),
                client_ids=tuple(one.recipient.client_id for one in part),
                addresses=tuple(_given(one.recipient) for one in part),
            ),
        )


def command_id(notification: NotificationId, step: int, generation: int, page: int) -> UUID:
    """The event id of one of these commands."""
    return event_id(notification, ExpandAudience.TYPE, f"{step}:{generation}:{page}")


def _of_step(notification: Notification, step: int) -> Notification:
    """What is said at this step, with nothing of what may follow it."""
    update: dict[str, object] = {"fallback": (), "callback": None}
    if step:
        fallback = notification.fallback[step - 1]
        update |= {"channel": fallback.channel, "content": fallback.content}
    return notification.model_copy(update=update)


def _audience(asked: Sequence[Asked]) -> Audience:
    client_ids = tuple(one.recipient.client_id for one in asked if one.recipient.client_id is not None)
    if client_ids:
        return ClientIds(client_ids=client_ids)
    return Addresses(addresses=tuple(one.recipient.address for one in asked if one.recipient.address is not None))


def _given(recipient: Recipient) -> str | None:
    return recipient.address if recipient.client_id is None else None
