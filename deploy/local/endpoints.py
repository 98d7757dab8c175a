"""`.run/endpoints.json`: what is where. Checks and people rely on its keys; keep them stable."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from deploy.local.secrets import Secrets
from deploy.local.services import SERVICES, Instance, Platform, Service


def describe(
    instances: Sequence[Instance], *, kafka: str, postgres: str, processes: Mapping[str, int]
) -> dict[str, Any]:
    """`postgres` is the DSN of a role that may read every schema; `processes` are the pids by name.

    A process that is down keeps its last pid until it is started again.
    """
    gateways = [instance.url for instance in instances if instance.service.name == "gateway"]
    by_name = {instance.name: instance.url for instance in instances}
    return {
        "gateway": by_name["gateway"],
        "gateways": gateways,
        "sandbox": by_name["sandbox"],
        "kafka": kafka,
        "postgres": postgres,
        "services": by_name,
        "processes": dict(processes),
    }


def platform(content: Mapping[str, Any], secrets: Secrets) -> Platform:
    """The running platform that endpoints.json describes, for programs that join it."""
    instances = tuple(
        Instance(service, number, port_of(url))
        for name, url in content["services"].items()
        for service, number in [_service_and_number(name)]
    )
    return Platform(
        instances,
        kafka_port=int(content["kafka"].rpartition(":")[2]),
        controller_port=0,
        postgres_port=port_of(content["postgres"]),
        secrets=secrets,
    )


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


def _service_and_number(name: str) -> tuple[Service, int]:
    by_name = {service.name: service for service in SERVICES}
    if name in by_name:
        return by_name[name], 1
    first, _, number = name.rpartition("-")
    return by_name[first], int(number)
