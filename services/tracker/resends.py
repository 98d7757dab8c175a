"""Which deliveries are sent again when somebody asks for it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from libs.contracts.states import DeliveryState
from services.tracker.blocks import BLOCK_SIZE, MAX_GENERATION, Block, BlockKey
from services.tracker.lifecycle import ABSENT, CODES

# What did not reach anybody. What is unknown may have: it is sent again only where that was asked for by its name.
DEFAULT_STATES = frozenset(
    {
        DeliveryState.FAILED,
        DeliveryState.CARRIER_REJECTED,
        DeliveryState.NOT_DELIVERED,
        DeliveryState.NO_FUNDS,
        DeliveryState.EXPIRED,
    }
)
RESENDABLE_STATES = DEFAULT_STATES | {DeliveryState.UNKNOWN}
_NOT_TRIED = frozenset({ABSENT, CODES[DeliveryState.SUPPRESSED]})
_DELIVERED = CODES[DeliveryState.DELIVERED]


class Again(NamedTuple):
    """A delivery that is sent again, and the generation it then has."""

    step: int
    number: int
    generation: int


def choose(blocks: Mapping[BlockKey, Block], states: Collection[DeliveryState]) -> Sequence[Again]:
    """The deliveries in `blocks` (of one notification, all steps of each recipient among them) that stand in one of
    `states`, by step and number.

    Of several steps it is the last that was tried which is tried again, and none where another one reached the
    recipient.
    """
    wanted = {CODES[state] for state in states}
    steps: dict[int, list[BlockKey]] = {}
    for key in sorted(blocks):
        steps.setdefault(key.first_number, []).append(key)
    found = []
    for first, keys in steps.items():
        for offset in range(BLOCK_SIZE):
            standing = [(key, code) for key in keys if (code := blocks[key].states[offset]) not in _NOT_TRIED]
            if not standing or any(code == _DELIVERED for _, code in standing):
                continue
            key, code = standing[-1]
            generation = blocks[key].generation(offset) + 1
            if code in wanted and generation <= MAX_GENERATION:
                found.append(Again(key.step, first + offset, generation))
    return sorted(found)


def all_steps(keys: Iterable[BlockKey], steps: int) -> set[BlockKey]:
    """The blocks of the same recipients at every one of `steps` steps."""
    return {key.at_step(step) for key in keys for step in range(steps)}
