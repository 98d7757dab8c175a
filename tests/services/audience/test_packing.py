"""What is stored can be read again, also by the release after this one."""

from collections.abc import Callable

import pytest
import zstandard
from pydantic_core import to_json

from libs.contracts.commands import ExpandAudience, Recipients
from libs.contracts.routing import Channel
from services.audience.packing import pack_addresses, pack_command, unpack, unpack_addresses, unpack_command
from services.audience.planning import PagePlan, PlannedChunk, SuppressedChunk, address_key

ANNA = "+48600000001"


def test_a_plan_of_the_release_before_had_no_numbers() -> None:
    document = {"chunks": [[2, 4, [7], [ANNA]]], "suppressed": [[5, [8], [None], ["no_phone"]]]}
    packed = zstandard.ZstdCompressor().compress(to_json(document))
    assert unpack(packed, first_number=4, next_number=6, next_cursor="6") == PagePlan(
        4, 6, "6", (PlannedChunk(2, 4, [7], [ANNA]),), (SuppressedChunk(5, [8], [None], ["no_phone"]),)
    )


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="a page"),
        pytest.param(
            {
                "step": 1,
                "channel": Channel.VIBER,
                "recipients": Recipients(numbers=(4, 9), client_ids=(7, None), addresses=(None, ANNA)),
            },
            id="named recipients",
        ),
    ],
)
def test_a_parked_command_comes_back_as_it_was(ask: Callable[..., ExpandAudience], options: dict[str, object]) -> None:
    command = ask([7, 8], ordering_key="booking 7", **options)
    assert unpack_command(pack_command(command)).model_dump_json() == command.model_dump_json()


def test_the_keys_of_addresses() -> None:
    """Phones are themselves; what is longer has one of 64 bits, which the column takes with its sign."""
    urls = [f"https://example.com/{number}" for number in range(1_000)]
    keys = [address_key(address) for address in (ANNA, *urls)]
    assert keys[0] == 48_600_000_001
    assert len(set(keys)) == len(keys)
    assert any(key < 0 for key in keys)
    packed = pack_addresses([PlannedChunk(0, 0, [None] * len(keys), [ANNA, *urls])])
    assert list(unpack_addresses(packed)) == keys
