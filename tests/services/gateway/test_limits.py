"""A minute's requests at once, then evenly."""

import pytest

from libs.wire import Problem
from services.gateway.authorization import Credential, Tenant
from services.gateway.limits import RequestLimit


def caller(prefix: str = "key", per_minute: int = 60) -> Credential:
    tenant = Tenant("demo", frozenset(), per_minute)
    return Credential(prefix, "native", tenant, b"", frozenset(), frozenset())


def test_a_minute_s_share_and_then_one_a_second() -> None:
    now = [0.0]
    limit = RequestLimit(clock=lambda: now[0])
    for _ in range(60):
        limit.spend(caller())
    with pytest.raises(Problem) as caught:
        limit.spend(caller())
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "1"})
    limit.spend(caller("another"))
    now[0] = 1.0
    limit.spend(caller())
    with pytest.raises(Problem):
        limit.spend(caller())
    now[0] = 3600.0
    for _ in range(60):
        limit.spend(caller())
    with pytest.raises(Problem):
        limit.spend(caller())


def test_the_wait_is_long_enough() -> None:
    now = [0.0]
    limit = RequestLimit(clock=lambda: now[0])
    limit.spend(caller(per_minute=1))
    with pytest.raises(Problem) as caught:
        limit.spend(caller(per_minute=1))
    now[0] += int(caught.value.headers["Retry-After"])
    limit.spend(caller(per_minute=1))
