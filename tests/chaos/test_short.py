"""The short form of the fault scenarios: two kills while 2,000 messages flow."""

import random

import pytest

from tests.chaos import running
from tests.chaos.scenarios import SHORT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("platform")]


def test_two_kills_lose_nothing() -> None:
    said: list[str] = []
    result = running.run(SHORT, random.SystemRandom().randrange(1_000_000), said.append)
    assert not result.broken, "\n".join([*said, *result.broken])
    assert result.figures is not None
    assert result.figures.accepted == SHORT.load.most_messages
