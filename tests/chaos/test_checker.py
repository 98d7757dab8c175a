"""The checker can fail: each broken promise is seen, and nothing else is."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos import checker, figures
from tests.chaos.calls import Arrival, Fate, calls_of
from tests.chaos.checker import Allowed
from tests.chaos.figures import Fault, Figures
from tests.chaos.load import Besides, Load, address, plan
from tests.chaos.statuses import Told, regression

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
    return figures.join(calls, arrivals, told, fault, keys_honoured=keys_honoured, answer_within=3.0)


def broken(counted: Figures, **allowed: Any) -> str:
    return "; ".join(checker.judge(counted, Allowed(**{"answer_within": 3.0, **allowed})))


def test_what_arrived_once_breaks_nothing() -> None:
    counted = count()
    assert (counted.accepted, counted.exactly_once, counted.duplicates, counted.lost) == (1, 1, 0, [])
    assert (counted.recovery, counted.accept_p99, counted.share_once) == (2.0, 0.1, 100.0)
    assert broken(counted) == ""


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
    counted = count(ledger(ACCEPTED, count=5), arrivals, status)
    assert counted.lost == [("m", address(4))]
    assert "at the carrier {'delivered': 4}" in broken(counted)


def test_a_second_copy_is_a_duplicate_unless_keys_are_honoured() -> None:
    twice = (ARRIVAL, replace(ARRIVAL, repeat=True))
    assert "1 duplicates" in broken(count(arrivals=twice))
    assert broken(count(arrivals=twice), duplicates=1) == ""
    counted = count(arrivals=twice, keys_honoured=True)
    assert (counted.duplicates, counted.repeats) == (0, 1)
    assert broken(counted) == ""


def test_a_second_reference_is_a_duplicate_even_where_keys_are_honoured() -> None:
    assert "1 duplicates" in broken(count(arrivals=(ARRIVAL, replace(ARRIVAL, reference="s")), keys_honoured=True))


def test_what_was_refused_must_not_arrive() -> None:
    counted = count(ledger({"status": 503, "outcome": "refused"}))
    assert "nobody was to get" in broken(counted)
    assert counted.refused == {"503 refused": 1}


def test_what_is_unknown_may_arrive() -> None:
    counted = count(ledger({"status": 503, "outcome": "unknown"}))
    assert (counted.unknown, counted.unknown_arrived, counted.phantoms) == (1, 1, [])


def test_what_nobody_sent_is_seen() -> None:
    assert "nobody was to get" in broken(count(arrivals=(ARRIVAL, replace(ARRIVAL, marker="x"))))


@pytest.mark.parametrize("counts", [{"sent": 1}, {"queued": 1}, {"unknown": 1}])
def test_stuck_is_seen(counts: dict[str, int]) -> None:
    counted = count(status={**STATUS, "counts": counts}, final_at=None)
    assert counted.recovery is None
    assert "not final" in broken(counted)


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
    counted = count(ledger({"error": "TimeoutError"}, ACCEPTED))
    assert "not answered" in broken(counted)
    assert broken(counted, answer_within=None) == ""


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
    assert figures.quantile([1.0, 2.0, 3.0, 4.0], share) == value
    assert figures.quantile([], share) is None


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


CONTROL = {"kind": "control", "number": 0, "action": "cancel", "begun": 102.0, "at": 102.1, "status": 202}
CANCELLED: Mapping[str, Any] = {
    **STATUS,
    "state": "cancelled",
    "planned": 3,
    "counts": {"delivered": 2, "cancelled": 1},
    "control": {"gate": "cancelled", "revision": 1, "sent_before": 1, "slipped": 1, "stopped": 1},
}


def cancelled(*instants: float, told: Mapping[str, Any] = CANCELLED, **control: Any) -> Figures:
    """A call to three that was cancelled; those at `instants` arrived all the same."""
    arrivals = tuple(replace(ARRIVAL, to=address(number), at=at) for number, at in enumerate(instants))
    return count([*ledger(ACCEPTED, count=3), {**CONTROL, **control}], arrivals, told)


def test_what_was_cancelled_need_not_arrive() -> None:
    counted = cancelled(101.0, 102.0)
    assert (counted.lost, counted.cancelled_calls, counted.after_cancel) == ([], 1, 0)
    assert broken(counted) == ""


def test_a_cancel_may_stop_the_planning_itself() -> None:
    status = {**CANCELLED, "planned": 2, "counts": {"delivered": 1, "cancelled": 1}, "control": {}}
    assert broken(cancelled(101.0, told=status)) == ""
    assert "contradictions" in broken(count(ledger(ACCEPTED, count=3), (ARRIVAL,), status))


def test_what_leaves_after_a_cancel_is_seen() -> None:
    counted = cancelled(101.0, 103.2)
    assert counted.after_cancel == 1
    assert "left after a cancel" in broken(counted)
    assert broken(counted, after_cancel=1) == ""


def test_a_cancel_that_was_refused_excuses_nothing() -> None:
    counted = cancelled(101.0, 102.0, status=503)
    assert "1 lost" in broken(counted)


def test_what_is_called_cancelled_and_arrived_is_seen() -> None:
    assert "contradictions" in broken(cancelled(101.0, 102.0, 102.0))


@pytest.mark.parametrize("control", [{"sent_before": 0}, {"slipped": 2}, {"stopped": 2, "sent_before": 0}])
def test_three_numbers_that_do_not_add_up_are_seen(control: dict[str, int]) -> None:
    status = {**CANCELLED, "control": {**CANCELLED["control"], **control}}
    assert "contradictions" in broken(cancelled(101.0, 102.0, told=status))


def test_another_end_than_the_carrier_reported_is_seen() -> None:
    assert "contradictions" in broken(count(arrivals=(replace(ARRIVAL, end="not_delivered"),)))


def test_a_second_copy_of_what_was_in_doubt_is_no_broken_promise() -> None:
    counted = count(arrivals=(replace(ARRIVAL, in_doubt=True), replace(ARRIVAL, repeat=True)))
    assert (counted.duplicates, counted.in_doubt) == (1, 1)
    assert broken(counted) == ""


def test_what_was_in_doubt_and_goes_to_another_carrier_is_seen() -> None:
    elsewhere = replace(ARRIVAL, carrier=1)
    assert "another carrier" in broken(count(arrivals=(replace(ARRIVAL, in_doubt=True), elsewhere)), duplicates=9)
    assert "another carrier" not in broken(count(arrivals=(ARRIVAL, elsewhere)), duplicates=9)


def test_two_wordings_of_one_answer_are_seen() -> None:
    answers = {**ACCEPTED, "digest": "a"}, {**ACCEPTED, "digest": "a"}, {**ACCEPTED, "digest": "b"}
    assert broken(count(ledger(*answers[:2]))) == ""
    assert "in different words" in broken(count(ledger(*answers)))


def test_a_call_is_absorbed_that_was_on_its_way_before_its_answer() -> None:
    requests = ledger({"error": "ServerDisconnectedError"}, {**ACCEPTED, "at": 106.0})
    requests[2]["at"] = 105.0
    assert count(requests).absorbed == 1
    assert count().absorbed == 0


@pytest.mark.parametrize(
    ("before", "after", "is_one"),
    [
        ({"sent": 1}, {"delivered": 1}, False),
        ({"delivered": 1}, {"not_delivered": 1}, True),
        ({"delivered": 1}, {"sent": 1}, True),
        ({"cancelled": 2}, {"cancelled": 1, "delivered": 1}, True),
        ({"not_delivered": 1}, {"delivered": 1}, False),
        ({"not_delivered": 1}, {"sent": 1}, True),
    ],
)
def test_what_was_final_must_stay_so(before: dict[str, int], after: dict[str, int], is_one: bool) -> None:
    assert bool(regression({"counts": before}, {"counts": after})) is is_one


def test_calls_beside_the_load_are_nobody_elses() -> None:
    load = {(call.marker, call.first + offset) for call in plan(Load(), seed=7) for offset in range(call.count)}
    besides = Besides(seed=7)
    calls = [besides.another(size) for size in (1, 500, 1, 100_000)]
    own = [(call.marker, call.first + offset) for call in calls for offset in range(call.count)]
    assert len({address(number) for _, number in own}) == len(own)
    assert not {address(number) for _, number in own} & {address(number) for _, number in load}
    assert not {marker for marker, _ in own} & {marker for marker, _ in load}
