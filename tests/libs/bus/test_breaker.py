import pytest

from libs.bus import Refused
from libs.bus.breaker import Breaker, Suspect
from libs.contracts.routing import Lane

ONE = Suspect("t", 1, Lane.URGENT)
OTHER = Suspect("t", 2, Lane.URGENT)


def connected(max_in_flight: int = 256) -> Breaker:
    breaker = Breaker(max_in_flight)
    breaker.connected()
    return breaker


def test_it_refuses_until_it_is_connected() -> None:
    breaker = Breaker()
    with pytest.raises(Refused), breaker.admission():
        pytest.fail("admitted")
    breaker.connected()
    with breaker.admission():
        assert not breaker.is_open


def test_the_first_failure_opens_it_and_its_partition_closes_it() -> None:
    breaker = connected()
    breaker.trip(ONE)
    with pytest.raises(Refused), breaker.admission():
        pytest.fail("admitted")
    breaker.proved(ONE)
    assert not breaker.is_open


def test_every_suspect_must_acknowledge() -> None:
    breaker = connected()
    breaker.trip(ONE)
    breaker.trip(OTHER)
    breaker.trip(ONE)
    breaker.proved(ONE)
    assert breaker.is_open
    assert breaker.suspects == {OTHER}
    breaker.proved(OTHER)
    assert not breaker.is_open


def test_those_in_flight_are_counted_and_capped() -> None:
    breaker = connected(2)
    with breaker.admission():
        with breaker.admission(), pytest.raises(Refused), breaker.admission():
            pytest.fail("admitted")
        with breaker.admission():
            pass


def test_a_failure_inside_gives_its_place_back() -> None:
    breaker = connected(1)
    for _ in range(3):
        with pytest.raises(KeyError), breaker.admission():
            raise KeyError
