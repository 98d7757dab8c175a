"""Dead letters of a service of the local platform, sent round again: `make redrive SERVICE=ingest`."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.local import endpoints, secrets, services
from deploy.local.layout import CHECKOUT, Layout
from deploy.local.services import Platform
from deploy.local.trouble import Trouble

ROLES = {service.name: service.role for service in services.SERVICES if service.role}


def run(layout: Layout, content: Mapping[str, Any], wanted: Sequence[str]) -> int:
    """Run libs.redrive in the terminal for what is wanted (a service, then options); its exit code. Raises Trouble for
    a service that has no dead letters."""
    role = role_of(wanted[0] if wanted else "")
    platform = endpoints.platform(content, secrets.load(layout.secrets, database_exists=True))
    done = subprocess.run(
        [sys.executable, "-m", "libs.redrive", "--service", *wanted],
        env={"PATH": os.environ.get("PATH", os.defpath), **environment(role, platform)},
        cwd=CHECKOUT,
        check=False,
    )
    return done.returncode


def role_of(service: str) -> str:
    """The Postgres role of a service. Raises Trouble."""
    if service not in ROLES:
        raise Trouble(f"make redrive SERVICE=name: one of {', '.join(sorted(ROLES))}")
    return ROLES[service]


def environment(role: str, platform: Platform) -> dict[str, str]:
    """What libs.redrive is told."""
    return {"KAFKA_BOOTSTRAP_SERVERS": platform.kafka, "REDRIVE_DATABASE": platform.dsn(role)}
