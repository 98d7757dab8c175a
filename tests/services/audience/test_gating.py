"""Which decision about a notification counts."""

from collections.abc import Callable
from itertools import permutations

from libs.contracts.commands import ExpandAudience
from libs.contracts.events import NotificationControlled
from libs.contracts.states import Gate
from services.audience.gating import WAITING, newest


def test_the_last_decision_of_each_counts_in_whatever_order_they_come(
    ask: Callable[..., ExpandAudience], decide: Callable[..., NotificationControlled]
) -> None:
    mine = ask([1])
    others = ask([1], tenant="other", notification_id=mine.notification.notification_id)
    events = [decide(mine, Gate.PAUSED, 1), decide(mine, Gate.OPEN, 2), decide(others, Gate.CANCELLED, 7)]
    for order in permutations(events):
        assert newest(order) == [events[1], events[2]]
    assert newest([]) == []


def test_what_waits_can_go_on() -> None:
    assert set(Gate) - WAITING == {Gate.OPEN, Gate.CANCELLED}
