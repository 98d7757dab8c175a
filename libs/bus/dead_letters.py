"""When a consumer has buried too much and must stop instead of draining a bad deployment. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

MAX_CONSECUTIVE = 50
WINDOW = 1000
MAX_IN_WINDOW = WINDOW // 20


Partition: TypeAlias = tuple[str, int]
"""A topic and the number of its partition."""


class Judged(NamedTuple):
    """One record and whether it became a dead letter."""

    partition: Partition
    offset: int
    buried: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """What a subscription has buried lately. `counted` is, per partition, the highest offset that was counted: a
    record that is delivered again does not count twice."""

    consecutive: int = 0
    recent: tuple[bool, ...] = ()
    counted: Mapping[Partition, int] = field(default_factory=dict)

    def after(self, judged: Iterable[Judged]) -> tuple["Tally", str | None]:
        """The tally with these records in it, and why the consumer must stop (none: it need not).

        The count ends with the record that goes beyond a limit.
        """
        consecutive, counted = self.consecutive, dict(self.counted)
        recent = deque(self.recent, maxlen=WINDOW)
        buried_recently = sum(recent)
        for record in judged:
            if record.offset <= counted.get(record.partition, -1):
                continue
            counted[record.partition] = record.offset
            buried_recently += record.buried - (recent[0] if len(recent) == WINDOW else 0)
            recent.append(record.buried)
            consecutive = consecutive + 1 if record.buried else 0
            reason = _reason(consecutive, buried_recently, len(recent))
            if reason is not None:
                return Tally(consecutive, tuple(recent), counted), reason
        return Tally(consecutive, tuple(recent), counted), None


def _reason(consecutive: int, buried_recently: int, seen: int) -> str | None:
    if consecutive > MAX_CONSECUTIVE:
        return f"more than {MAX_CONSECUTIVE} records in a row could not be processed"
    if seen == WINDOW and buried_recently > MAX_IN_WINDOW:
        return f"more than {MAX_IN_WINDOW} of the last {WINDOW} records could not be processed"
    return None
