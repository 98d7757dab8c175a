"""The one list of states of deliveries and notifications."""

from enum import StrEnum


class DeliveryState(StrEnum):
    """What became of one delivery."""

    QUEUED = "queued"
    SENDING = "sending"
    RETRYING = "retrying"
    UNKNOWN = "unknown"
    SENT = "sent"
    ON_PHONE = "on_phone"
    DELIVERED = "delivered"
    NOT_DELIVERED = "not_delivered"
    CARRIER_REJECTED = "carrier_rejected"
    NO_FUNDS = "no_funds"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPPRESSED = "suppressed"


class NotificationState(StrEnum):
    """Where a notification stands as a whole."""

    ACCEPTED = "accepted"
    WAITING = "waiting"
    HELD = "held"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    DONE = "done"
    REJECTED = "rejected"


class Gate(StrEnum):
    """Whether anything more of a notification may leave: what its owner decided last. Held waits for a confirmation."""

    OPEN = "open"
    PAUSED = "paused"
    HELD = "held"
    CANCELLED = "cancelled"


FINAL_DELIVERY_STATES = frozenset(
    {
        DeliveryState.DELIVERED,
        DeliveryState.NOT_DELIVERED,
        DeliveryState.CARRIER_REJECTED,
        DeliveryState.NO_FUNDS,
        DeliveryState.FAILED,
        DeliveryState.EXPIRED,
        DeliveryState.CANCELLED,
        DeliveryState.SUPPRESSED,
    }
)
