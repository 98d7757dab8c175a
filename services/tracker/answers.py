"""What the tracker answers: its books as the native API shows them."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from libs.contracts.ids import DeliveryId, NotificationId, split_delivery_id
from libs.contracts.states import DeliveryState, Gate, NotificationState
from libs.wire import JsonValue
from services.tracker.asking import Recipient
from services.tracker.blocks import Standing
from services.tracker.lifecycle import STATES, UNFINISHED, notification_state, stopping

_UUID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_UUID_BYTES = 16


class Progress(NamedTuple):
    """A notification as the books have it. `waits` says that its start lies ahead; `counts` are by state, as folded so
    far; the totals are 0 until they are known. `gate` is none for what nobody controlled; `has_timers` says that a
    fallback may come; `rounds` is how often something of it was sent once more."""

    channel: str | None
    lane: str | None
    dialect: str | None
    accepted_at: datetime | None
    due_at: datetime | None
    trace_id: str | None
    rejected: str | None
    totals_known: bool
    planned: int
    suppressed: int
    waits: bool
    gate: str | None
    revision: int
    reason: str
    slipped: int
    rounds: int
    has_timers: bool
    counts: Mapping[DeliveryState, int]


class Summary(NamedTuple):
    """How many there are, where they stand, and where that leaves the notification."""

    planned: int
    suppressed: int
    counts: Mapping[DeliveryState, int]
    unfinished: int
    state: NotificationState


class Delivery(NamedTuple):
    """One delivery."""

    delivery_id: DeliveryId
    recipient: Recipient
    standing: Standing


class Attempt(NamedTuple):
    """One try."""

    generation: int
    attempt: int
    at: datetime
    state: DeliveryState
    reason: str
    provider: str
    provider_message_id: str


class Report(NamedTuple):
    """One receipt: what the carrier's clock says, and when it came."""

    at: datetime
    state: DeliveryState
    code: str
    received_at: datetime


def parse_id(text: str) -> UUID | None:
    """An id as we write it, with or without hyphens; none for everything else (`UUID` itself takes braces and more)."""
    return UUID(text) if _UUID.fullmatch(text) else None


def cursor_for(delivery: DeliveryId) -> str:
    """The cursor of the page that begins with `delivery`."""
    return urlsafe_b64encode(delivery.bytes).rstrip(b"=").decode()


def parse_cursor(text: str, notification: NotificationId) -> UUID:
    """The delivery a page begins with. Raises ValueError for anything `cursor_for` did not give for `notification`."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"==")
    except (NotBase64, UnicodeEncodeError) as error:
        raise ValueError("not a cursor") from error
    if len(raw) != _UUID_BYTES or split_delivery_id(UUID(bytes=raw)).notification_id != notification:
        raise ValueError("not a cursor of this list")
    return UUID(bytes=raw)


def summary_of(progress: Progress) -> Summary:
    """The numbers as they are shown. Once the totals are known they are what counts: planned = the sum of all counts,
    so what no chunk has told of yet is queued."""
    counts = dict(progress.counts)
    suppressed = counts.pop(DeliveryState.SUPPRESSED, 0)
    planned = sum(counts.values())
    if progress.totals_known:
        planned, suppressed = max(planned, progress.planned), max(suppressed, progress.suppressed)
        counts[DeliveryState.QUEUED] = planned - sum(
            count for state, count in counts.items() if state is not DeliveryState.QUEUED
        )
    unfinished = sum(counts.get(state, 0) for state in UNFINISHED)
    stopped = counts.get(DeliveryState.CANCELLED, 0)
    state = notification_state(
        accepted=progress.accepted_at is not None,
        rejected=progress.rejected is not None,
        due=not progress.waits,
        totals_known=progress.totals_known,
        unfinished=unfinished,
        begun=any(progress.counts.values()),
        gate=Gate.OPEN if progress.gate is None else Gate(progress.gate),
        planned=planned,
        stopped=stopped,
        follows=progress.has_timers and counts.get(DeliveryState.DELIVERED, 0) + stopped < planned,
    )
    return Summary(planned, suppressed, counts, unfinished, state)


def progress_answer(notification: NotificationId, progress: Progress) -> dict[str, JsonValue]:
    """The body for one notification."""
    summary = summary_of(progress)
    answer: dict[str, JsonValue] = {
        "id": str(notification),
        "state": summary.state.value,
        "channel": progress.channel,
        "lane": progress.lane,
        "dialect": progress.dialect,
        "accepted_at": _time(progress.accepted_at),
        "planned": summary.planned,
        "suppressed": summary.suppressed,
        "counts": {state.value: count for state, count in summary.counts.items() if count},
        "trace_id": progress.trace_id,
        "totals_known": progress.totals_known,
    }
    if progress.due_at is not None:
        answer["at"] = _time(progress.due_at)
    if progress.rejected is not None and progress.accepted_at is None:
        answer["rejected"] = progress.rejected
    if progress.gate is not None:
        answer["control"] = {
            "gate": progress.gate,
            "revision": progress.revision,
            "reason": progress.reason or None,
            **stopping(summary.counts, planned=summary.planned, slipped=progress.slipped)._asdict(),
        }
    return answer


def page_answer(deliveries: Sequence[Delivery], *, limit: int) -> dict[str, JsonValue]:
    """The body for a list of which one more than `limit` was asked for."""
    more = deliveries[limit].delivery_id if len(deliveries) > limit else None
    return {
        "deliveries": [_delivery(delivery) for delivery in deliveries[:limit]],
        "next_cursor": None if more is None else cursor_for(more),
    }


def delivery_answer(
    delivery: Delivery, attempts: Sequence[Attempt], receipts: Sequence[Report]
) -> dict[str, JsonValue]:
    """The body for one delivery."""
    return {
        **_delivery(delivery),
        "attempts": [
            {
                "attempt": attempt.attempt,
                "at": _time(attempt.at),
                "state": attempt.state.value,
                "reason": attempt.reason or None,
                "provider": attempt.provider,
                "provider_message_id": attempt.provider_message_id or None,
            }
            for attempt in attempts
        ],
        "receipts": [
            {
                "at": _time(receipt.at),
                "state": receipt.state.value,
                "code": receipt.code,
                "received_at": _time(receipt.received_at),
            }
            for receipt in receipts
        ],
    }


def _delivery(delivery: Delivery) -> dict[str, JsonValue]:
    fact = delivery.standing.fact
    return {
        "id": str(delivery.delivery_id),
        "notification_id": str(split_delivery_id(delivery.delivery_id).notification_id),
        "client_id": delivery.recipient.client_id,
        "channel": delivery.recipient.channel,
        "to": delivery.recipient.address,
        "state": STATES[fact.state].value,
        "reason": fact.reason or None,
        "generation": fact.generation,
    }


def _time(instant: datetime | None) -> str | None:
    return (
        None if instant is None else instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
