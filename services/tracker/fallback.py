"""When the next step of a fallback is due, and for whom."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple, TypeAlias
from uuid import UUID, uuid4

from libs.contracts.commands import SendDeliveries
from libs.contracts.ids import NotificationId
from libs.contracts.states import DeliveryState, Gate
from services.tracker.blocks import BLOCK_SIZE, Block, BlockKey, Facts, Named, by_block
from services.tracker.lifecycle import ABSENT, CODES

# What ends the chain: it arrived, it was stopped, or nobody is to get it. Nothing else says that it was read or even
# rang, so whoever stands anywhere else when the time is over is tried on the next channel.
_ENDED = frozenset(
    {ABSENT, *(CODES[state] for state in (DeliveryState.DELIVERED, DeliveryState.CANCELLED, DeliveryState.SUPPRESSED))}
)
# What will not arrive any more on its own: there is nothing to wait for.
_FAILED = frozenset(
    CODES[state]
    for state in (
        DeliveryState.NOT_DELIVERED,
        DeliveryState.CARRIER_REJECTED,
        DeliveryState.NO_FUNDS,
        DeliveryState.FAILED,
        DeliveryState.EXPIRED,
    )
)


Steps: TypeAlias = Mapping[Named, Sequence[int]]
"""The seconds from the plan of each step to the next one, of the notifications that have a fallback."""
_BLOCKS_IN_TIMER = 8


_QUEUED = CODES[DeliveryState.QUEUED]


class Timer(NamedTuple):
    """When to look whether the deliveries with these numbers, step and generation need the next step: none, at once."""

    timer_id: UUID
    notification_id: NotificationId
    tenant: str
    step: int
    generation: int
    numbers: Sequence[int]
    due_at: datetime | None


class Then(Enum):
    """What to do with a timer whose time has come."""

    FALL_BACK = "fall back"
    WAIT = "wait"
    END = "end"


def when_due(gate: Gate) -> Then:
    """A cancelled notification's timers end; those of a paused one wait until it goes on."""
    match gate:
        case Gate.OPEN:
            return Then.FALL_BACK
        case Gate.CANCELLED:
            return Then.END
        case _:
            return Then.WAIT


def has_failed(state: int) -> bool:
    """Whether a delivery in the state with this code falls back at once, without waiting for its timer."""
    return state in _FAILED


def is_overdue(state: int) -> bool:
    """Whether a delivery in the state with this code falls back when its time is over."""
    return state not in _ENDED


def chunk_timers(chunks: Iterable[SendDeliveries], steps: Steps) -> Sequence[Timer]:
    """A timer for each chunk that another step follows."""
    found = []
    for chunk in chunks:
        after = steps.get((chunk.notification_id, chunk.tenant), ())
        if chunk.step < len(after):
            numbers = chunk.numbers or range(chunk.first_number, chunk.first_number + len(chunk.addresses))
            due_at = chunk.occurred_at + timedelta(seconds=after[chunk.step])
            place = chunk.notification_id, chunk.tenant, chunk.step, chunk.generation
            found.append(Timer(chunk.chunk_id, *place, numbers, due_at))
    return found


def failure_timers(facts: Facts, blocks: Mapping[BlockKey, Block], steps: Steps) -> Sequence[Timer]:
    """Timers that are due at once, for what `facts` told to have failed for good, or to be planned of which that was
    known before. `blocks` are as they stand after these facts."""
    found: dict[tuple[NotificationId, str, int, int], set[int]] = {}
    for key, told in facts.items():
        if key.step >= len(steps.get((key.notification_id, key.tenant), ())):
            continue
        block = blocks[key]
        for offsets, fact in told:
            if has_failed(fact.state) or fact.state == _QUEUED:
                place = key.notification_id, key.tenant, key.step, fact.generation
                found.setdefault(place, set()).update(
                    key.first_number + offset
                    for offset in offsets
                    if has_failed(block.states[offset]) and block.generation(offset) == fact.generation
                )
    return [Timer(uuid4(), *place, sorted(numbers), None) for place, numbers in found.items() if numbers]


def late_timers(blocks: Mapping[BlockKey, Block], planned_by: datetime, after: timedelta) -> Iterator[Timer]:
    """Timers for the first step of a notification of which the acceptance came last, its `blocks` being all there is.
    Their chunks are not known any more: `planned_by` is an instant that is not before them."""
    keys = [key for key in sorted(blocks) if key.step == 0]
    for low in range(0, len(keys), _BLOCKS_IN_TIMER):
        part = keys[low : low + _BLOCKS_IN_TIMER]
        place = part[0].notification_id, part[0].tenant, 0, 0
        if overdue := list(_numbers(blocks, part, is_overdue)):
            yield Timer(uuid4(), *place, overdue, planned_by + after)
        if failed := list(_numbers(blocks, part, has_failed)):
            yield Timer(uuid4(), *place, failed, None)


def overdue(timers: Iterable[Timer], blocks: Mapping[int, Block]) -> Sequence[int]:
    """The numbers that `timers` of one step are about and that need the next one, ascending. `blocks` are by their
    place, counted from that of recipient 0."""
    found = set()
    for timer in timers:
        for place, positions in by_block(timer.numbers).items():
            block = blocks.get(place)
            if block is None:
                continue
            for position in positions:
                offset = timer.numbers[position] % BLOCK_SIZE
                if is_overdue(block.states[offset]) and block.generation(offset) == timer.generation:
                    found.add(timer.numbers[position])
    return sorted(found)


def _numbers(
    blocks: Mapping[BlockKey, Block], keys: Iterable[BlockKey], wanted: Callable[[int], bool]
) -> Iterator[int]:
    for key in keys:
        states = blocks[key].states
        yield from (key.first_number + offset for offset in range(BLOCK_SIZE) if wanted(states[offset]))
