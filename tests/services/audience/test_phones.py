"""Phone numbers in E.164."""

import pytest

from services.audience.phones import e164


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("+48600123456", None, "+48600123456"),
        ("+48 600 123 456", None, "+48600123456"),
        ("0048 600-123-456", None, "+48600123456"),
        ("600 123 456", "PL", "+48600123456"),
        ("8 (912) 345-67-89", "RU", "+79123456789"),
        ("+1 (202) 555-0123", None, "+12025550123"),
        ("+78005553535", None, "+78005553535"),
        ("+390612345678", None, "+390612345678"),  # a zero that Italy writes out
        ("+48 0600 123 456", None, None),
        ("600123456", None, None),
        ("+48600", None, None),
        ("+999123456789", None, None),
        ("+4860012345678901234", None, None),
        ("hello", "PL", None),
        ("+", None, None),
        ("00", None, None),
        ("٤٨٦٠٠١٢٣٤٥٦", None, None),
    ],
)
def test_a_number_as_people_write_it(text: str, region: str | None, expected: str | None) -> None:
    assert e164(text, region) == expected
