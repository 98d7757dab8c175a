"""Which way a message goes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.routing import partition_of


@given(st.text(), st.text(), st.integers(1, 1000))
def test_a_partition_is_always_in_range(tenant: str, key: str, partitions: int) -> None:
    assert 0 <= partition_of(tenant, key, partitions) < partitions


@pytest.mark.parametrize(
    ("tenant", "key", "expected"), [("demo", "client:17", 6), ("demo", "visit-81", 3), ("other", "client:17", 16)]
)
def test_a_key_keeps_its_partition_for_ever(tenant: str, key: str, expected: int) -> None:
    assert partition_of(tenant, key, 24) == expected


def test_tenant_and_key_do_not_run_together() -> None:
    assert len({partition_of(*pair, 2**31) for pair in [("ab", "c"), ("a", "bc"), ("abc", "")]}) == 3


def test_people_spread_over_the_partitions() -> None:
    found = Counter(partition_of("demo", f"client:{number}", 24) for number in range(24_000))
    assert len(found) == 24
    assert max(found.values()) < 1.2 * min(found.values())
