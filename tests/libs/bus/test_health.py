from dataclasses import replace

import pytest

from libs.bus.health import SubscriptionHealth, trouble

WELL = SubscriptionHealth("t", (0, 1), lag=0, poll_age=0.4, work_age=None, restarts=0, stopped=None, joined=True)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({}, None, id="well"),
        pytest.param({"lag": 1_000_000}, None, id="much to do is no trouble"),
        pytest.param({"assigned": (), "poll_age": None}, None, id="more replicas than partitions"),
        pytest.param({"poll_age": None}, "never answered", id="never answered"),
        pytest.param({"work_age": 20.0, "poll_age": 90.0}, None, id="a slow batch"),
        pytest.param({"stopped": "too many"}, "too many", id="stopped"),
        pytest.param({"joined": False}, "not in its group", id="no member"),
        pytest.param({"poll_age": 31.0}, "Kafka has not answered for 31 s", id="Kafka away"),
        pytest.param({"work_age": 76.0}, "in work for 76 s", id="stuck"),
    ],
)
def test_trouble(change: dict[str, object], problem: str | None) -> None:
    told = trouble(replace(WELL, **change), age=60.0)  # type: ignore[arg-type]
    assert (told is None) if problem is None else (told is not None and problem in told)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"assigned": (), "poll_age": None}, "it has no partitions yet"),
        ({"poll_age": None}, "Kafka has not answered it yet"),
    ],
)
def test_a_new_consumer_is_ready_when_it_has_polled(change: dict[str, object], problem: str | None) -> None:
    assert trouble(replace(WELL, **change), age=1.0) == problem  # type: ignore[arg-type]
