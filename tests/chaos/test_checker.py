"""The checker can fail: each broken promise is seen, and nothing else is."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos import checker
from tests.chaos.calls import Arrival, Fate, calls_of
from tests.chaos.checker import Allowed, Fault, Figures
from tests.chaos.load import Load, address, plan
from tests.chaos.statuses import Told

FAULT = Fault(begun=100.0, cleared=110.0)
REQUEST = {"kind": "request", "key": "k", "marker": "m", "first": 0, "count": 1, "at": 100.0}
ACCEPTED = {"status": 202, "id": "n", "seconds": 0.1, "at": 100.1}
STATUS = {"state": "done", "totals_known": True, "planned": 1, "suppressed": 0, "counts": {"delivered": 1}}
ARRIVAL = Arrival("r", address(0), "m", 101.0, repeat=False)


def ledger(*answers: Mapping[str, Any] | None, **request: Any) -> list[dict[str, Any]]:
    entries = []
    for attempt, answer in enumerate(answers, 1):
        whose = {"number": 0, "attempt": attempt}
        entries.append({**REQUEST, **request, **whose})
        if answer is not None:
            entries.append({"seconds": 0.1, "at": 0.0, **answer, "kind": "answer", **whose})
    return entries


def count(
    entries: list[dict[str, Any]] | None = None,
    arrivals: tuple[Arrival, ...] = (ARRIVAL,),
    status: Mapping[str, Any] = STATUS,
    *,
    final_at: float | None = 112.0,
    keys_honoured: bool = False,
    fault: Fault = FAULT,
) -> Figures:
    calls = calls_of(ledger(ACCEPTED) if entries is None else entries)
    told = {"n": Told(status, final_at)}
    return checker.join(calls, arrivals, told, fault, keys_honoured=keys_honoured, answer_within=3.0)


def broken(figures: Figures, **allowed: Any) -> str:
    return "; ".join(checker.judge(figures, Allowed(**{"answer_within": 3.0, **allowed})))


def test_what_arrived_once_breaks_nothing() -> None:
    figures = count()
    assert (figures.accepted, figures.exactly_once, figures.duplicates, figures.lost) == (1, 1, 0, [])
    assert (figures.recovery, figures.accept_p99, figures.share_once) == (2.0, 0.1, 100.0)
    assert broken(figures) == ""


@pytest.mark.parametrize(
    ("answers", "fate"),
    [
        ([ACCEPTED], Fate.ACCEPTED),
        ([{"status": 503, "outcome": "unknown"}, {"status": 409}, ACCEPTED], Fate.ACCEPTED),
        ([{"status": 503, "outcome": "refused"}], Fate.REFUSED),
        ([{"error": "ClientConnectorError", "not_connected": True}, {"status": 429}], Fate.REFUSED),
        ([{"status": 503, "outcome": "refused"}, {"status": 503, "outcome": "unknown"}], Fate.UNKNOWN),
        ([{"status": 503, "outcome": None}], Fate.UNKNOWN),
        ([{"status": 409}], Fate.UNKNOWN),
        ([{"error": "ServerDisconnectedError"}], Fate.UNKNOWN),
        ([None], Fate.UNKNOWN),
    ],
)
def test_what_the_caller_knows(answers: list[dict[str, Any] | None], fate: Fate) -> None:
    (call,) = calls_of(ledger(*answers))
    assert call.fate is fate
    assert len(call.attempts) == len(answers)


def test_lost_is_seen() -> None:
    assert "1 lost" in broken(count(arrivals=()))


def test_lost_of_many_is_seen() -> None:
    arrivals = tuple(replace(ARRIVAL, to=address(number)) for number in range(4))
    status = {**STATUS, "planned": 5, "counts": {"delivered": 5}}
    figures = count(ledger(ACCEPTED, count=5), arrivals, status)
    assert figures.lost == [("m", address(4))]
    assert "at the carrier 4" in broken(figures)


def test_a_second_copy_is_a_duplicate_unless_keys_are_honoured() -> None:
    twice = (ARRIVAL, replace(ARRIVAL, repeat=True))
    assert "1 duplicates" in broken(count(arrivals=twice))
    assert broken(count(arrivals=twice), duplicates=1) == ""
    figures = count(arrivals=twice, keys_honoured=True)
    assert (figures.duplicates, figures.repeats) == (0, 1)
    assert broken(figures) == ""


def test_a_second_reference_is_a_duplicate_even_where_keys_are_honoured() -> None:
    assert "1 duplicates" in broken(count(arrivals=(ARRIVAL, replace(ARRIVAL, reference="s")), keys_honoured=True))


def test_what_was_refused_must_not_arrive() -> None:
    figures = count(ledger({"status": 503, "outcome": "refused"}))
    assert "nobody was to get" in broken(figures)
    assert figures.refused == {"503 refused": 1}


def test_what_is_unknown_may_arrive() -> None:
    figures = count(ledger({"status": 503, "outcome": "unknown"}))
    assert (figures.unknown, figures.unknown_arrived, figures.phantoms) == (1, 1, [])


def test_what_nobody_sent_is_seen() -> None:
    assert "nobody was to get" in broken(count(arrivals=(ARRIVAL, replace(ARRIVAL, marker="x"))))


@pytest.mark.parametrize("counts", [{"sent": 1}, {"queued": 1}, {"unknown": 1}])
def test_stuck_is_seen(counts: dict[str, int]) -> None:
    figures = count(status={**STATUS, "counts": counts}, final_at=None)
    assert figures.recovery is None
    assert "not final" in broken(figures)


@pytest.mark.parametrize(
    "status",
    [
        {**STATUS, "counts": {"delivered": 2}},
        {**STATUS, "counts": {"delivered": 2, "queued": -1}},
        {**STATUS, "planned": 0, "suppressed": 1, "counts": {}},
        {**STATUS, "counts": {"failed": 1}},
        {"state": "rejected"},
    ],
)
def test_contradictions_are_seen(status: dict[str, Any]) -> None:
    assert "contradictions" in broken(count(status=status))


def test_two_notifications_for_one_key_are_seen() -> None:
    assert "is 2 notifications" in broken(count(ledger(ACCEPTED, {**ACCEPTED, "id": "other"})))


def test_slow_recovery_and_slow_answers_are_seen() -> None:
    assert "recovery took 31.0 s" in broken(count(final_at=141.0))
    assert "longer than 3 s" in broken(count(ledger({"status": 503, "outcome": "refused", "seconds": 3.1}, ACCEPTED)))


def test_no_answer_is_seen_where_one_is_promised() -> None:
    figures = count(ledger({"error": "TimeoutError"}, ACCEPTED))
    assert "not answered" in broken(figures)
    assert broken(figures, answer_within=None) == ""


def test_what_is_accepted_while_nothing_can_be_is_seen() -> None:
    down = replace(FAULT, down=(99.0, 105.0))
    assert "while nothing could be" in broken(count(fault=down))
    assert broken(count(fault=replace(FAULT, down=(100.05, 105.0)))) == ""


@pytest.mark.parametrize("status", [500, 404, 422, 400])
def test_answers_nobody_should_get_are_seen(status: int) -> None:
    assert "no caller should get" in broken(count(ledger({"status": status}, ACCEPTED)))


def test_an_empty_run_proves_nothing() -> None:
    assert "proves nothing" in broken(count([], ()))


@pytest.mark.parametrize(("share", "value"), [(0.5, 2.0), (0.99, 4.0), (0.25, 1.0), (0.75, 3.0), (1.0, 4.0)])
def test_quantiles(share: float, value: float) -> None:
    assert checker.quantile([1.0, 2.0, 3.0, 4.0], share) == value
    assert checker.quantile([], share) is None


def test_the_load_is_bounded_and_repeats_nothing() -> None:
    load = Load(per_second=20, bulk_every=2, bulk_size=100, most_messages=1000)
    calls = list(plan(load, seed=7))
    assert calls == list(plan(load, seed=7))
    assert calls != list(plan(load, seed=8))
    assert sum(call.count for call in calls) == 1000
    assert len({call.marker for call in calls}) == len(calls)
    assert {call.count for call in calls[:-1]} == {1, 100}
    numbers = [call.first + offset for call in calls for offset in range(call.count)]
    assert len({address(number) for number in numbers}) == 1000
    assert [call.due for call in calls] == sorted(call.due for call in calls)
