"""What the gate of a notification means for its pages."""

from collections.abc import Iterable, Sequence

from libs.contracts.events import NotificationControlled
from libs.contracts.states import Gate

# A page that comes now is put aside until the gate is another.
WAITING = frozenset({Gate.PAUSED, Gate.HELD})


def newest(controlled: Iterable[NotificationControlled]) -> Sequence[NotificationControlled]:
    """Of every notification the last decision, ordered by tenant and notification."""
    last: dict[tuple[str, int], NotificationControlled] = {}
    for one in controlled:
        key = (one.tenant, one.notification_id.int)
        if key not in last or last[key].revision < one.revision:
            last[key] = one
    return [last[key] for key in sorted(last)]
