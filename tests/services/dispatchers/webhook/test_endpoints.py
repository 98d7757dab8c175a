"""Each endpoint by itself: what one of them does changes nothing for another."""

from datetime import timedelta

from libs.contracts.outcomes import Accepted, Throttled, Transient
from libs.outbound_urls import outbound_url
from services.dispatchers.breaker import LEAST_CALLS, PROBE_AFTER
from services.dispatchers.webhook.endpoints import GONE_FOR, Endpoint, Endpoints
from services.dispatchers.webhook.standard import GONE


def known(*, remembered: int = 100) -> Endpoints:
    return Endpoints(per_tenant=8, per_server=4, remembered=remembered)


def at(endpoints: Endpoints, url: str = "https://example.com/hook", tenant: str = "demo") -> Endpoint:
    return endpoints.at(tenant, outbound_url(url))


def refused_for(endpoint: Endpoint, now: float) -> float:
    """How long, in seconds; 0 when it may be called."""
    match endpoint.refusal(now):
        case None:
            return 0.0
        case Throttled(_, timedelta() as pause):
            return pause.total_seconds()
        case other:
            raise AssertionError(other)


def test_it_is_remembered_by_tenant_and_url() -> None:
    endpoints = known()
    one = at(endpoints)
    assert at(endpoints, "https://EXAMPLE.com:443/hook") is one
    assert at(endpoints, tenant="other") is not one
    assert at(endpoints, tenant="other").server is not one.server
    assert at(endpoints, "https://example.com/other") is not one
    assert at(endpoints, "https://example.com/other").server is one.server


def test_the_longest_unused_are_forgotten() -> None:
    endpoints = known(remembered=2)
    one, two = at(endpoints, "https://a.com/"), at(endpoints, "https://b.com/")
    assert at(endpoints, "https://a.com/") is one
    at(endpoints, "https://c.com/")
    assert at(endpoints, "https://a.com/") is one
    assert at(endpoints, "https://b.com/") is not two


def test_a_throttle_holds_this_endpoint_as_long_as_it_asks() -> None:
    endpoints = known()
    one, other = at(endpoints), at(endpoints, "https://example.com/other")
    told = one.heard(Throttled("http 429", timedelta(seconds=7)), 10.0, 9.0)
    assert told == Throttled("http 429", timedelta(seconds=7))
    assert refused_for(one, 12.0) == 5.0
    assert refused_for(one, 17.0) == 0.0
    assert refused_for(other, 12.0) == 0.0


def test_without_a_time_the_pause_grows_until_something_passes() -> None:
    one = at(known())
    pauses, now = [], 0.0
    for _ in range(8):
        told = one.heard(Throttled("http 429"), now, now)
        assert isinstance(told, Throttled) and told.retry_after
        pauses.append(told.retry_after.total_seconds())
        now += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    one.heard(Accepted(""), now, now)
    assert one.heard(Throttled("http 429"), now, now) == Throttled("http 429", timedelta(seconds=1))


def test_one_that_gives_no_answer_is_left_alone() -> None:
    one = at(known())
    one.failed(15.0, 0.0, answered=False)
    assert refused_for(one, 15.0) == 1.0
    one.failed(31.0, 16.0, answered=False)
    assert refused_for(one, 31.0) == 2.0


def test_a_broken_server_is_left_alone_whatever_the_path() -> None:
    endpoints = known()
    for number in range(LEAST_CALLS):
        at(endpoints, f"https://example.com/{number}").failed(1.0, 0.0, answered=True)
    one = at(endpoints, "https://example.com/new")
    assert refused_for(one, 1.0) == PROBE_AFTER
    assert refused_for(at(endpoints, "https://example.org/new"), 1.0) == 0.0
    assert refused_for(at(endpoints, "https://example.com/new", tenant="other"), 1.0) == 0.0
    later = 1.0 + PROBE_AFTER
    assert one.begin(later) is None
    assert isinstance(at(endpoints).begin(later), Throttled)
    one.heard(Transient("http 404"), later + 1, later)
    assert at(endpoints).begin(later + 1) is None


def test_what_is_refused_by_a_working_server_says_nothing_about_it() -> None:
    endpoints = known()
    for _ in range(LEAST_CALLS * 2):
        at(endpoints).heard(Transient("http 404"), 1.0, 0.0)
    assert refused_for(at(endpoints), 1.0) == 0.0


def test_one_that_is_gone_is_not_called_until_a_while_has_passed() -> None:
    one = at(known())
    assert one.heard(GONE, 5.0, 4.0) is GONE
    assert one.refusal(5.0) is GONE
    assert one.refusal(5.0 + GONE_FOR) is None
