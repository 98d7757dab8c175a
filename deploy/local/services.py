"""The process table: which services there are, how each is started and what it is told."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local import ports
from deploy.local.layout import CHECKOUT
from deploy.local.processes import Command
from deploy.local.secrets import Secrets, as_dict


@dataclass(frozen=True)
class Service:
    """One kind of process. `prefix` begins its settings; `role` is its Postgres role and schema, if it has one."""

    name: str
    arguments: tuple[str, ...]
    prefix: str
    role: str | None
    replicable: bool = True


SERVICES = (
    Service("sandbox", ("services.sandbox.app",), "SANDBOX_", None, replicable=False),
    Service("ingest", ("services.ingest.app",), "INGEST_", "ingest"),
    Service("audience", ("services.audience.app",), "AUDIENCE_", "audience"),
    Service("scheduler", ("services.scheduler.app",), "SCHEDULER_", "scheduler"),
    Service("dispatcher-sms", ("services.dispatchers.app", "sms"), "DISPATCHER_SMS_", "dispatch"),
    Service("dispatcher-viber", ("services.dispatchers.app", "viber"), "DISPATCHER_VIBER_", "dispatch"),
    Service("dispatcher-webhook", ("services.dispatchers.app", "webhook"), "DISPATCHER_WEBHOOK_", "dispatch"),
    Service("tracker", ("services.tracker.app",), "TRACKER_", "tracker"),
    Service("gateway", ("services.gateway.app",), "GATEWAY_", "gateway"),
)
REPLICABLE = tuple(service.name for service in SERVICES if service.replicable)
ROLES = tuple(dict.fromkeys(service.role for service in SERVICES if service.role))
READER = "reader"
DATABASE = "carillon"

# What a process needs of the caller's environment; besides it gets its own settings and TELEMETRY_*.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "SSL_CERT_FILE", "TMPDIR")
# Who signs, or shows a tenant its secret.
SIGNERS = ("gateway", "dispatcher-webhook")
# What the caller may point elsewhere: to another carrier than the sandbox, or to several routes (the carrier's address
# and key are then given as empty).
CALLERS_CHOICE = tuple(
    f"DISPATCHER_{channel}_{setting}"
    for channel in ("SMS", "VIBER")
    for setting in ("CARRIER_URL", "CARRIER_KEY", "ROUTES")
)


@dataclass(frozen=True)
class Instance:
    """One process of a service: the first is called like it, the second `gateway-2`, and so on."""

    service: Service
    number: int
    port: int

    @property
    def name(self) -> str:
        return self.service.name if self.number == 1 else f"{self.service.name}-{self.number}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Platform:
    """What every service must know of the others."""

    instances: tuple[Instance, ...]
    kafka_port: int
    controller_port: int
    postgres_port: int
    secrets: Secrets

    @property
    def kafka(self) -> str:
        return f"127.0.0.1:{self.kafka_port}"

    def dsn(self, role: str) -> str:
        password = as_dict(self.secrets)[role]
        return f"postgresql://{role}:{password}@127.0.0.1:{self.postgres_port}/{DATABASE}"

    def first(self, name: str) -> Instance:
        return next(instance for instance in self.instances if instance.name == name)


def lay_out(replicas: Mapping[str, int], *, gateway_port: int, sandbox_port: int) -> tuple[Instance, ...]:
    """Give every process its port. Raises Trouble when a chosen one is taken."""
    used: set[int] = set()
    wanted = {"gateway": (gateway_port, "GATEWAY_PORT"), "sandbox": (sandbox_port, "SANDBOX_PORT")}
    chosen: dict[str, int] = {}
    for name, (port, variable) in wanted.items():
        chosen[name] = ports.claim(port, name=name, variable=variable, taken=used)
        used.add(chosen[name])
    instances = []
    for service in SERVICES:
        for number in range(1, replicas.get(service.name, 1) + 1):
            port = chosen[service.name] if number == 1 and service.name in chosen else ports.any_free(used)
            used.add(port)
            instances.append(Instance(service, number, port))
    return tuple(instances)


def command(instance: Instance, platform: Platform, environ: Mapping[str, str]) -> Command:
    """How this process is started, from the checkout with the Python that runs now."""
    return Command(
        [sys.executable, "-m", *instance.service.arguments],
        environ=environment(instance, platform, environ),
        directory=CHECKOUT,
    )


def environment(instance: Instance, platform: Platform, environ: Mapping[str, str]) -> dict[str, str]:
    """Everything the process is told. The caller's own settings for it are kept; ours go before them, except for
    CALLERS_CHOICE."""
    service, secrets = instance.service, platform.secrets
    callers = {name: value for name, value in environ.items() if name.startswith(service.prefix)}
    own = {
        "HOST": "127.0.0.1",
        "PORT": str(instance.port),
        **({"INSTANCE": str(instance.number)} if service.replicable else {}),
        **({"DATABASE": platform.dsn(service.role)} if service.role else {}),
        **_particular(instance, platform),
    }
    return {
        **{name: value for name, value in environ.items() if name in PASSED_ON or name.startswith("TELEMETRY_")},
        **callers,
        **{service.prefix + name: value for name, value in own.items()},
        **{name: value for name, value in callers.items() if name in CALLERS_CHOICE},
        "KAFKA_BOOTSTRAP_SERVERS": platform.kafka,
        **({"SIGNING_KEY": secrets.signing_key} if service.name in SIGNERS else {}),
        "INTERNAL_TOKEN": secrets.internal_token,
        "INTERNAL_INGEST_URL": platform.first("ingest").url,
        "INTERNAL_TRACKER_URL": platform.first("tracker").url,
        "INTERNAL_DISPATCHER_URL": platform.first("dispatcher-sms").url,
        "PYTHONUNBUFFERED": "1",
    }


def _particular(instance: Instance, platform: Platform) -> dict[str, str]:
    """What only one service needs, without its prefix."""
    secrets = platform.secrets
    match instance.service.name:
        case "gateway":
            return {"PEPPER": secrets.gateway_pepper}
        case "sandbox":
            return {"CARRIER_KEY": secrets.carrier_key}
        case "dispatcher-webhook":
            return {"ALLOW_LOOPBACK": "true"}
        case "dispatcher-sms" | "dispatcher-viber":
            return {
                "CARRIER_URL": platform.first("sandbox").url,
                "CARRIER_KEY": secrets.carrier_key,
                "PUBLIC_URL": instance.url,
                "RECEIPT_SECRET": secrets.receipt_secret,
            }
        case _:
            return {}
