"""Ports: free, chosen, taken."""

import os
import socket
from collections.abc import Iterator

import pytest

from deploy.local import ports
from deploy.local.trouble import Trouble


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_one_line_that_says_who_has_it(listening: int) -> None:
    with pytest.raises(Trouble) as caught:
        ports.claim(listening, name="gateway", variable="GATEWAY_PORT")
    text = str(caught.value)
    assert f"port {listening} for gateway is taken by process {os.getpid()}" in text
    assert "GATEWAY_PORT" in text
    assert "\n" not in text


def test_two_of_ours_cannot_have_the_same_port() -> None:
    free = ports.any_free()
    with pytest.raises(Trouble, match="taken"):
        ports.claim(free, name="sandbox", variable="SANDBOX_PORT", taken=[free])


def test_zero_means_any_free_one() -> None:
    chosen = ports.claim(0, name="gateway", variable="GATEWAY_PORT")
    assert ports.is_free(chosen)
    assert ports.LOWEST <= chosen < ports.HIGHEST


def test_a_free_port_is_given_as_wanted() -> None:
    free = ports.any_free()
    assert ports.claim(free, name="gateway", variable="GATEWAY_PORT") == free
