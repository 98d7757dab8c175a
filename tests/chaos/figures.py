"""What the ledgers and the public API say together, in figures. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.calls import Arrival, Attempt, Call, Fate, Message
from tests.chaos.statuses import Told, contradiction, is_final

# A cancel has taken effect everywhere that many seconds after its answer.
CANCEL_TAKES = 1.0
# What nothing at a carrier answers to.
NEVER_LEFT = frozenset({"cancelled", "expired"})


@dataclass(frozen=True)
class Fault:
    """From when to when something was broken (`cleared` is when the last of it was taken back), and the span in which
    nothing at all could be accepted, if there was one."""

    begun: float
    cleared: float
    down: tuple[float, float] | None = None


@dataclass(frozen=True)
class Figures:
    """Messages unless said otherwise; times in seconds. `in_doubt` were taken by a carrier that did not say so;
    `strangers` had been, and went to another carrier later. `after_cancel` left CANCEL_TAKES after a cancel was
    answered. `absorbed` are calls that were on their way before an attempt was answered."""

    calls: int
    accepted: int
    refused: Mapping[str, int]
    unknown: int
    unknown_arrived: int
    answers: Mapping[str, int]
    exactly_once: int
    lost: Sequence[Message]
    duplicates: int
    repeats: int
    phantoms: Sequence[Message]
    stuck: Sequence[str]
    contradictions: Sequence[str]
    recovery: float | None
    accept_p50: float | None
    accept_p99: float | None
    slowest_answer: float | None
    accepted_while_down: int
    promised: int = 0
    slow_answers: int = 0
    unanswered: int = 0
    in_doubt: int = 0
    strangers: int = 0
    cancelled_calls: int = 0
    after_cancel: int = 0
    replayed_otherwise: int = 0
    absorbed: int = 0
    by_carrier: Mapping[int, int] = field(default_factory=dict)

    @property
    def share_once(self) -> float:
        """Of the accepted messages that nobody cancelled, those that arrived exactly once, in per cent."""
        return 100.0 * self.exactly_once / self.promised if self.promised else 100.0


def join(
    calls: Sequence[Call],
    arrivals: Sequence[Arrival],
    told: Mapping[str, Told],
    fault: Fault,
    *,
    keys_honoured: bool,
    answer_within: float | None = None,
) -> Figures:
    """Count. Where the carrier honours keys, a repeated reference is no second copy for anybody."""
    copies = Counter((one.marker, one.to) for one in arrivals if not (one.repeat and keys_honoured))
    ends: dict[Message, str] = {}
    for one in sorted(arrivals, key=lambda one: one.at):
        ends.setdefault((one.marker, one.to), one.end)
    by_fate: dict[Fate, list[Call]] = defaultdict(list)
    for call in calls:
        by_fate[call.fate].append(call)
    kept = [call for call in by_fate[Fate.ACCEPTED] if not call.may_be_cancelled]
    accepted = [message for call in by_fate[Fate.ACCEPTED] for message in call.messages]
    promised = [message for call in kept for message in call.messages]
    unknown = [message for call in by_fate[Fate.UNKNOWN] for message in call.messages]
    expected = {*accepted, *unknown}
    attempts = [attempt for call in calls for attempt in call.attempts]
    during = [attempt for attempt in attempts if fault.begun <= attempt.begun <= fault.cleared]
    latencies = sorted(
        attempt.seconds
        for attempt in during
        if attempt.seconds is not None and attempt.status is not None and 200 <= attempt.status < 300
    )
    answered = [a.seconds for a in attempts if a.status is not None and a.seconds is not None]
    return Figures(
        calls=len(calls),
        accepted=len(accepted),
        refused=_sum((call.attempts[-1].cause, call.count) for call in by_fate[Fate.REFUSED]),
        unknown=len(unknown),
        unknown_arrived=sum(message in copies for message in unknown),
        answers=Counter(attempt.cause for attempt in attempts),
        exactly_once=sum(copies[message] == 1 for message in promised),
        lost=[message for message in promised if message not in copies],
        duplicates=sum(number - 1 for number in copies.values()),
        repeats=sum(one.repeat for one in arrivals),
        phantoms=[message for message in copies if message not in expected],
        stuck=_stuck(by_fate[Fate.ACCEPTED], told),
        contradictions=_contradictions(by_fate[Fate.ACCEPTED], ends, told),
        recovery=_recovery(by_fate[Fate.ACCEPTED], told, fault),
        accept_p50=quantile(latencies, 0.5),
        accept_p99=quantile(latencies, 0.99),
        slowest_answer=max(answered, default=None),
        accepted_while_down=_accepted_while_down(attempts, fault),
        slow_answers=sum(seconds > answer_within for seconds in answered) if answer_within else 0,
        unanswered=sum(attempt.status is None for attempt in attempts),
        promised=len(promised),
        in_doubt=sum(one.in_doubt for one in arrivals),
        strangers=_strangers(arrivals),
        cancelled_calls=sum(call.cancelled_at is not None for call in calls),
        after_cancel=_after_cancel(calls, arrivals),
        replayed_otherwise=sum(len(call.answers) > 1 for call in calls),
        by_carrier=Counter(one.carrier for one in arrivals),
        absorbed=_absorbed(by_fate[Fate.ACCEPTED], arrivals),
    )


def _sum(pairs: Iterable[tuple[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for cause, number in pairs:
        total[cause] += number
    return total


def _stuck(accepted: Sequence[Call], told: Mapping[str, Told]) -> list[str]:
    return [
        notification
        for call in accepted
        for notification in call.notifications
        if told.get(notification, Told()).final_at is None
    ]


def _contradictions(accepted: Sequence[Call], ends: Mapping[Message, str], told: Mapping[str, Told]) -> list[str]:
    """Where the API says something else than the ledgers."""
    found = []
    for call in accepted:
        if len(call.notifications) > 1:
            found.append(f"call {call.number} is {len(call.notifications)} notifications: {call.notifications}")
        answer = told.get(call.notifications[0], Told()).answer
        if reason := contradiction(answer, call.count, stopped=call.may_be_cancelled):
            found.append(f"{call.notifications[0]}: {reason}")
        elif is_final(answer):
            counts = {state: number for state, number in answer.get("counts", {}).items() if number}
            never_left = {state: counts.pop(state) for state in NEVER_LEFT & counts.keys() if call.may_be_cancelled}
            arrived = Counter(ends[message] for message in call.messages if message in ends)
            if counts != arrived:
                found.append(
                    f"{call.notifications[0]}: {counts or 'nothing'} beside {never_left or 'nothing'}, "
                    f"at the carrier {dict(arrived)}"
                )
    return found


def _strangers(arrivals: Sequence[Arrival]) -> int:
    """Messages that one carrier may have taken and another was given."""
    doubted: dict[str, set[int]] = defaultdict(set)
    for one in arrivals:
        if one.in_doubt:
            doubted[one.reference].add(one.carrier)
    return sum(bool(doubted.get(one.reference, {one.carrier}) - {one.carrier}) for one in arrivals)


def _after_cancel(calls: Sequence[Call], arrivals: Sequence[Arrival]) -> int:
    takes_effect = {call.marker: call.cancelled_at + CANCEL_TAKES for call in calls if call.cancelled_at is not None}
    return sum(one.marker in takes_effect and one.at > takes_effect[one.marker] for one in arrivals)


def _absorbed(accepted: Sequence[Call], arrivals: Sequence[Arrival]) -> int:
    """Calls that were under way to their recipients before the answered attempt began: an earlier one had done it."""
    first: dict[str, float] = {}
    for one in arrivals:
        first[one.marker] = min(one.at, first.get(one.marker, one.at))
    return sum(
        call.marker in first
        and first[call.marker] < min(one.begun for one in call.attempts if one.notification is not None)
        for call in accepted
    )


def _recovery(accepted: Sequence[Call], told: Mapping[str, Told], fault: Fault) -> float | None:
    """From the end of the fault until all that was begun before it is final; none while something is not."""
    ends = [
        told.get(call.notifications[0], Told()).final_at for call in accepted if call.attempts[0].begun <= fault.cleared
    ]
    known = [end for end in ends if end is not None]
    return max(0.0, max(known, default=fault.cleared) - fault.cleared) if len(known) == len(ends) else None


def _accepted_while_down(attempts: Sequence[Attempt], fault: Fault) -> int:
    if fault.down is None:
        return 0
    begun, ended = fault.down
    return sum(
        attempt.notification is not None
        and attempt.seconds is not None
        and begun <= attempt.begun
        and attempt.begun + attempt.seconds <= ended
        for attempt in attempts
    )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of all do not exceed."""
    if not ordered:
        return None
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]
