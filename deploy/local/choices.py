"""What the caller may choose by environment: RUN_DIR, GATEWAY_PORT, SANDBOX_PORT, REPLICAS."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.services import REPLICABLE
from deploy.local.trouble import Trouble

MOST_REPLICAS = 16


@dataclass(frozen=True)
class Choices:
    """How this platform is to be started. Port 0 means any free one."""

    run_dir: Path
    gateway_port: int
    sandbox_port: int
    replicas: Mapping[str, int]


def read(environ: Mapping[str, str], checkout: Path) -> Choices:
    """Raises Trouble that names what cannot be understood."""
    return Choices(
        run_dir=(checkout / Path(environ.get("RUN_DIR") or ".run").expanduser()).resolve(),
        gateway_port=port(environ, "GATEWAY_PORT", 8080),
        sandbox_port=port(environ, "SANDBOX_PORT", 8025),
        replicas=replicas(environ.get("REPLICAS", "")),
    )


def port(environ: Mapping[str, str], variable: str, default: int) -> int:
    text = environ.get(variable) or str(default)
    if not (text.isascii() and text.isdecimal()) or int(text) > 65535:
        raise Trouble(f"{variable}={text} is not a port: a number from 0 (any free one) to 65535")
    return int(text)


def replicas(text: str) -> dict[str, int]:
    """How many of each service: 'gateway=2 dispatcher-sms=4'."""
    chosen: dict[str, int] = {}
    for word in text.replace(",", " ").split():
        name, _, number = word.partition("=")
        if name not in REPLICABLE:
            raise Trouble(f"REPLICAS: {name} cannot be multiplied; these can: {', '.join(REPLICABLE)}")
        if not (number.isascii() and number.isdecimal()) or not 1 <= int(number) <= MOST_REPLICAS:
            raise Trouble(f"REPLICAS: {word} must be {name}= and a number from 1 to {MOST_REPLICAS}")
        chosen[name] = int(number)
    return chosen
