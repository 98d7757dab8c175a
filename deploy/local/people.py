"""More people, in a tenant of their own: `make people N=100000`."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from deploy.local import demo, endpoints, secrets, services
from deploy.local.layout import CHECKOUT, Layout
from deploy.local.progress import Say
from deploy.local.services import Platform
from deploy.local.trouble import Trouble

TENANT = "demo-people"
MOST = 2_000_000  # as many as deploy.demo.generate has phones for
REQUESTS_PER_MINUTE = "600000"


async def add(layout: Layout, content: Mapping[str, Any], environ: Mapping[str, str], number: str, say: Say) -> None:
    """Make `number` people, load them, and say with which credentials they can be written to. Raises Trouble."""
    if not (number.isascii() and number.isdecimal()) or not 1 <= int(number) <= MOST:
        raise Trouble(f"N={number} is not a number of people from 1 to {MOST}")
    platform = endpoints.platform(content, secrets.load(layout.secrets, database_exists=True))
    credentials = layout.run / f"{TENANT}.toml"
    provision = ("services.gateway.provision", str(credentials), "--create", "--tenant", TENANT)
    await demo.run("gateway", (*provision, "--requests-per-minute", REQUESTS_PER_MINUTE), platform, environ)
    say(f"loading {int(number):,} people for the tenant {TENANT}")
    await asyncio.to_thread(_load, number, platform, environ)
    say(f"done; the tenant's credentials are in {credentials}:")
    print(credentials.read_text(encoding="utf-8"), flush=True)


def _load(number: str, platform: Platform, environ: Mapping[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.demo.generate", number], cwd=CHECKOUT, stdout=subprocess.PIPE
    ) as generator:
        loaded = subprocess.run(
            [sys.executable, "-m", "services.audience.load", "--tenant", TENANT, "-"],
            env=services.environment(platform.first("audience"), platform, environ),
            cwd=CHECKOUT,
            stdin=generator.stdout,
            check=False,
        )
    if loaded.returncode or generator.returncode:
        raise Trouble("the people were not loaded; the reason stands above")
