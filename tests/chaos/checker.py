"""What the ledgers and the public API say together: figures, and which promises they break. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.calls import Arrival, Attempt, Call, Fate, Message
from tests.chaos.statuses import Told, contradiction, is_final

EXAMPLES = 5


@dataclass(frozen=True)
class Fault:
    """From when to when something was broken (`cleared` is when the last of it was taken back), and the span in which
    nothing at all could be accepted, if there was one."""

    begun: float
    cleared: float
    down: tuple[float, float] | None = None


@dataclass(frozen=True)
class Allowed:
    """What a scenario promises. `duplicates` was fixed before it ran; with `answer_within` (seconds) every request is
    answered, and so soon."""

    duplicates: int = 0
    recovery: float = 30.0
    answer_within: float | None = None


@dataclass(frozen=True)
class Figures:
    """Messages unless said otherwise; times in seconds."""

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
    slow_answers: int = 0
    unanswered: int = 0

    @property
    def share_once(self) -> float:
        """Of the accepted messages, those that arrived exactly once, in per cent."""
        return 100.0 * self.exactly_once / self.accepted if self.accepted else 100.0


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
    by_fate: dict[Fate, list[Call]] = defaultdict(list)
    for call in calls:
        by_fate[call.fate].append(call)
    accepted = [message for call in by_fate[Fate.ACCEPTED] for message in call.messages]
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
        exactly_once=sum(copies[message] == 1 for message in accepted),
        lost=[message for message in accepted if message not in copies],
        duplicates=sum(number - 1 for number in copies.values()),
        repeats=sum(one.repeat for one in arrivals),
        phantoms=[message for message in copies if message not in expected],
        stuck=_stuck(by_fate[Fate.ACCEPTED], told),
        contradictions=_contradictions(by_fate[Fate.ACCEPTED], copies, told),
        recovery=_recovery(by_fate[Fate.ACCEPTED], told, fault),
        accept_p50=quantile(latencies, 0.5),
        accept_p99=quantile(latencies, 0.99),
        slowest_answer=max(answered, default=None),
        accepted_while_down=_accepted_while_down(attempts, fault),
        slow_answers=sum(seconds > answer_within for seconds in answered) if answer_within else 0,
        unanswered=sum(attempt.status is None for attempt in attempts),
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


def _contradictions(accepted: Sequence[Call], copies: Counter[Message], told: Mapping[str, Told]) -> list[str]:
    """Where the API says something else than the ledgers."""
    found = []
    for call in accepted:
        if len(call.notifications) > 1:
            found.append(f"call {call.number} is {len(call.notifications)} notifications: {call.notifications}")
        answer = told.get(call.notifications[0], Told()).answer
        if reason := contradiction(answer, call.count):
            found.append(f"{call.notifications[0]}: {reason}")
        elif is_final(answer):
            delivered = answer.get("counts", {}).get("delivered", 0)
            arrived = sum(message in copies for message in call.messages)
            if delivered != arrived:
                found.append(f"{call.notifications[0]}: delivered {answer.get('counts')}, at the carrier {arrived}")
    return found


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


def judge(figures: Figures, allowed: Allowed) -> list[str]:
    """Every promise that the figures break, in words."""
    broken = []
    if figures.lost:
        broken.append(f"{len(figures.lost)} lost: {_some(figures.lost)}")
    if figures.duplicates > allowed.duplicates:
        broken.append(f"{figures.duplicates} duplicates, at most {allowed.duplicates} were allowed")
    if figures.phantoms:
        broken.append(f"{len(figures.phantoms)} arrived that nobody was to get: {_some(figures.phantoms)}")
    if figures.stuck:
        broken.append(f"{len(figures.stuck)} notifications are not final: {_some(figures.stuck)}")
    if figures.contradictions:
        broken.append(f"{len(figures.contradictions)} contradictions: {_some(figures.contradictions)}")
    if figures.recovery is not None and figures.recovery > allowed.recovery:
        broken.append(f"recovery took {figures.recovery:.1f} s, {allowed.recovery:g} s were allowed")
    if figures.slow_answers:
        broken.append(
            f"{figures.slow_answers} answers took longer than {allowed.answer_within:g} s, "
            f"the slowest {figures.slowest_answer:.1f} s"
        )
    if allowed.answer_within is not None and figures.unanswered:
        broken.append(f"{figures.unanswered} requests were not answered: {dict(figures.answers)}")
    if figures.accepted_while_down:
        broken.append(f"{figures.accepted_while_down} calls were accepted while nothing could be")
    if wrong := {cause: number for cause, number in figures.answers.items() if _is_wrong(cause)}:
        broken.append(f"answers that no caller should get: {wrong}")
    if not figures.accepted:
        broken.append("nothing was accepted: this run proves nothing")
    return broken


def _is_wrong(cause: str) -> bool:
    """A status that neither the load nor the fault explains."""
    status = cause.partition(" ")[0]
    return status.isdecimal() and status not in {"200", "201", "202", "409", "429", "503"}


def _some(things: Sequence[object]) -> str:
    shown = ", ".join(str(thing) for thing in things[:EXAMPLES])
    return shown if len(things) <= EXAMPLES else f"{shown}, ..."
