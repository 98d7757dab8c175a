"""A carrier's callback as events: the same callback again makes the same events."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from libs.contracts.envelope import PLATFORM
from libs.contracts.events import ReceiptReceived
from libs.contracts.ids import event_id
from services.dispatchers.provider import Report

MAX_RECEIPTS = 500


def receipts(provider: str, body: bytes, reports: Sequence[Report], received_at: datetime) -> list[ReceiptReceived]:
    """The reports of one callback `body` in events of at most MAX_RECEIPTS.

    Ids and keys come from the body, so a repeated callback is recognised and goes the same way. The order of events
    does not matter: the tracker ranks states.
    """
    cause = UUID(bytes=sha256(provider.encode() + b"\0" + body).digest()[:16], version=5)
    return [
        _event(cause, ordinal, provider, reports[start : start + MAX_RECEIPTS], received_at)
        for ordinal, start in enumerate(range(0, len(reports), MAX_RECEIPTS))
    ]


def _event(
    cause: UUID, ordinal: int, provider: str, reports: Sequence[Report], received_at: datetime
) -> ReceiptReceived:
    return ReceiptReceived(
        event_id=event_id(cause, ReceiptReceived.TYPE, ordinal),
        tenant=PLATFORM,
        key=f"{cause.hex}:{ordinal}",
        occurred_at=max(report.reported_at for report in reports),
        provider=provider,
        received_at=received_at,
        provider_message_ids=tuple(report.provider_message_id for report in reports),
        states=tuple(report.state for report in reports),
        codes=tuple(report.code for report in reports),
        reported_at=tuple(report.reported_at for report in reports),
    )
