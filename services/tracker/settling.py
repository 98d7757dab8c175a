"""What a caller is told of its deliveries: which are over, and when all are."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

from libs.contracts.events import DeliverySettled, NotificationCompleted
from libs.contracts.ids import DeliveryId, NotificationId
from libs.contracts.notification import Callback
from libs.contracts.states import DeliveryState, NotificationState
from services.tracker.asking import Recipient
from services.tracker.blocks import BLOCK_SIZE, Block, Standing
from services.tracker.lifecycle import FIRST_FINAL, STATES

MOST_AT_ONCE = 500  # deliveries in one event
UNTOLD = bytes(2 * BLOCK_SIZE)


class Caller(NamedTuple):
    """Whose notification it is, and where they want to hear of it."""

    notification_id: NotificationId
    tenant: str
    callback: Callback
    external: Mapping[str, str]


class Settled(NamedTuple):
    """One delivery that is over."""

    delivery_id: DeliveryId
    recipient: Recipient
    standing: Standing


def news(block: Block, told: bytes) -> tuple[Sequence[int], bytes]:
    """The offsets of what is over and was not told so, and what is told then. `told` holds a byte of state and one of
    generation for each delivery (empty: nothing was told): another state or another generation is news."""
    told = told or UNTOLD
    states, generations = bytes(block.states), block.generations()
    if told == states + generations:
        return (), told
    old_states, old_generations = bytearray(told[:BLOCK_SIZE]), bytearray(told[BLOCK_SIZE:])
    offsets = [
        offset
        for offset, state in enumerate(states)
        if state >= FIRST_FINAL and (state != old_states[offset] or generations[offset] != old_generations[offset])
    ]
    for offset in offsets:
        old_states[offset], old_generations[offset] = states[offset], generations[offset]
    return offsets, bytes(old_states + old_generations)


def settled_events(caller: Caller, settled: Sequence[Settled], at: datetime) -> Iterator[DeliverySettled]:
    """Tell of `settled` deliveries, `at` being now. The ids are random: an event is stored before it is published."""
    for low in range(0, len(settled), MOST_AT_ONCE):
        part = settled[low : low + MOST_AT_ONCE]
        facts = [one.standing.fact for one in part]
        yield DeliverySettled(
            event_id=uuid4(),
            tenant=caller.tenant,
            key=str(caller.notification_id),
            occurred_at=at,
            notification_id=caller.notification_id,
            callback=caller.callback,
            external=dict(caller.external),
            delivery_ids=tuple(one.delivery_id for one in part),
            client_ids=tuple(one.recipient.client_id for one in part),
            addresses=tuple(one.recipient.address for one in part),
            states=tuple(STATES[fact.state] for fact in facts),
            reasons=tuple(fact.reason for fact in facts),
            at=tuple(datetime.fromtimestamp(fact.at, UTC) for fact in facts),
        )


class End(NamedTuple):
    """How a notification ended. `round` counts how often something of it was sent once more."""

    round: int
    state: NotificationState


def end_of(state: NotificationState, *, round: int, totals_known: bool, unfinished: int) -> End | None:  # noqa: A002
    """The end there is to tell of; none while anything is still to be sent."""
    if state not in (NotificationState.DONE, NotificationState.CANCELLED) or unfinished or not totals_known:
        return None
    return End(round, state)


def completed_event(
    caller: Caller, end: End, *, planned: int, suppressed: int, counts: Mapping[DeliveryState, int], at: datetime
) -> NotificationCompleted:
    """Tell of the end."""
    return NotificationCompleted(
        event_id=uuid4(),
        tenant=caller.tenant,
        key=str(caller.notification_id),
        occurred_at=at,
        notification_id=caller.notification_id,
        callback=caller.callback,
        external=dict(caller.external),
        state=end.state,
        planned=planned,
        suppressed=suppressed,
        counts={state: count for state, count in counts.items() if count},
    )
