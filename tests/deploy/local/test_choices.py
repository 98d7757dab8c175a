"""What a caller may choose, and what they are told when it cannot be."""

from pathlib import Path

import pytest

from deploy.local import choices
from deploy.local.trouble import Trouble


def test_nothing_chosen() -> None:
    chosen = choices.read({}, Path("/checkout"))
    assert chosen == choices.Choices(Path("/checkout/.run"), 8080, 8025, {})


def test_everything_chosen(tmp_path: Path) -> None:
    environ = {"RUN_DIR": str(tmp_path), "GATEWAY_PORT": "0", "SANDBOX_PORT": "9025", "REPLICAS": "gateway=2"}
    assert choices.read(environ, Path("/checkout")) == choices.Choices(tmp_path, 0, 9025, {"gateway": 2})


def test_run_dir_is_relative_to_the_checkout() -> None:
    assert choices.read({"RUN_DIR": ".run-2"}, Path("/checkout")).run_dir == Path("/checkout/.run-2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", {}, id="none"),
        pytest.param("gateway=2 dispatcher-sms=4", {"gateway": 2, "dispatcher-sms": 4}, id="two, a dash in a name"),
        pytest.param("gateway=2,tracker=3", {"gateway": 2, "tracker": 3}, id="a comma does as well"),
        pytest.param("  ingest=1 ", {"ingest": 1}, id="one is allowed"),
    ],
)
def test_replicas(text: str, expected: dict[str, int]) -> None:
    assert choices.replicas(text) == expected


@pytest.mark.parametrize("text", ["kafka=2", "postgres=2", "sandbox=2", "gatewy=2", "gateway", "gateway=", "gateway=0",
                                  "gateway=-1", "gateway=x", "gateway=99", "gateway=²", "=2"])  # fmt: skip
def test_replicas_that_cannot_be(text: str) -> None:
    with pytest.raises(Trouble, match="REPLICAS"):
        choices.replicas(text)


@pytest.mark.parametrize("text", ["-1", "65536", "http", "80.80", "８０８０", " 80"])
def test_a_port_that_is_none(text: str) -> None:
    with pytest.raises(Trouble, match=r"GATEWAY_PORT=.* is not a port"):
        choices.port({"GATEWAY_PORT": text}, "GATEWAY_PORT", 8080)
