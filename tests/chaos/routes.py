"""The dispatcher's file of routes, where a scenario has more than one carrier. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.carriers import Carrier


@dataclass(frozen=True)
class Route:
    """One route; `more` are further lines of it in TOML."""

    name: str
    carrier: Carrier
    more: str = ""


def written(routes: Sequence[Route]) -> str:
    """The file."""
    return "\n".join(
        f'[[route]]\nname = "{one.name}"\nprovider = "http_smsc"\n'
        f"url = {json.dumps(one.carrier.url)}\nkey = {json.dumps(one.carrier.key)}\n{one.more}\n"
        for one in routes
    )
