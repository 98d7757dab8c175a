"""The running platform as a benchmark sees it: its public addresses and its processes."""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Platform:
    """Where the platform answers, and which processes it consists of."""

    gateway: str
    sandbox: str
    kafka: str
    processes: dict[str, int]


def running(run_dir: Path) -> Platform:
    """The platform whose state lies in `run_dir`. Raises FileNotFoundError when it does not run."""
    endpoints = json.loads((run_dir / "endpoints.json").read_text())
    return Platform(endpoints["gateway"], endpoints["sandbox"], endpoints["kafka"], endpoints["processes"])


def demo_api_key() -> str:
    """The demo tenant's native API key."""
    credentials = tomllib.loads((ROOT / "deploy/demo/credentials.toml").read_text())
    return str(credentials["native"]["api_key"])


async def get(session: aiohttp.ClientSession, url: str, **params: str | int) -> dict[str, Any]:
    """The JSON object at `url`; raises on anything but a 2xx."""
    async with session.get(url, params=params) as response:
        response.raise_for_status()
        answer: dict[str, Any] = await response.json()
        return answer
