"""A wall-clock time in a named zone, as a caller gives it."""

from datetime import datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.caller import Caller

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("platform")]


async def test_a_wall_clock_time_is_kept_in_its_zone(caller: Caller) -> None:
    text = f"wall {uuid4().hex}"
    wall = datetime.now(ZoneInfo("Asia/Tokyo")).replace(tzinfo=None, microsecond=0) + timedelta(seconds=4)
    answer = await caller.sent(
        channel="sms", to={"client_ids": [1]}, content={"text": text}, at=wall.isoformat(), zone="Asia/Tokyo"
    )
    assert answer["zone"] == "Asia/Tokyo"
    assert answer["adjusted"] is None
    assert datetime.fromisoformat(answer["at"]) == wall.replace(tzinfo=ZoneInfo("Asia/Tokyo"))
    await caller.finished(answer["id"])
    (message,) = await caller.inbox(contains=text)
    assert datetime.fromisoformat(message["received_at"]) >= wall.replace(tzinfo=ZoneInfo("Asia/Tokyo"))


@pytest.mark.parametrize(
    ("wall", "adjusted", "instant"),
    [
        ("2030-03-31T02:30:00", "gap", "2030-03-31T03:30:00+02:00"),
        ("2030-10-27T02:30:00", "overlap", "2030-10-27T02:30:00+02:00"),
    ],
)
async def test_a_time_that_is_not_or_twice_is_told(caller: Caller, wall: str, adjusted: str, instant: str) -> None:
    answer = await caller.sent(
        channel="sms", to={"client_ids": [1]}, content={"text": "later"}, at=wall, zone="Europe/Warsaw"
    )
    assert answer["adjusted"] == adjusted
    assert datetime.fromisoformat(answer["at"]) == datetime.fromisoformat(instant)
    await caller.control(answer["id"], "cancel")
    await caller.reaches(answer["id"], "cancelled")
