"""The process table: ports, names, what each process is told; and endpoints.json from it."""

import pytest

from deploy.local import endpoints, services
from deploy.local.secrets import Secrets
from deploy.local.services import Instance, Platform

SECRETS = Secrets(*(f"secret-{number}" for number in range(13)))


@pytest.fixture
def platform() -> Platform:
    instances = services.lay_out({"gateway": 2, "dispatcher-sms": 3}, gateway_port=0, sandbox_port=0)
    return Platform(instances, 9092, 9093, 5432, SECRETS)


def named(platform: Platform, name: str) -> Instance:
    return next(instance for instance in platform.instances if instance.name == name)


def test_every_process_has_a_name_and_a_port_of_its_own(platform: Platform) -> None:
    names = [instance.name for instance in platform.instances]
    assert {"gateway", "gateway-2", "dispatcher-sms", "dispatcher-sms-2", "dispatcher-sms-3", "tracker"} <= set(names)
    assert len(set(names)) == len(names)
    assert len({instance.port for instance in platform.instances}) == len(names)


def test_a_service_is_told_where_things_are(platform: Platform) -> None:
    told = services.environment(named(platform, "gateway-2"), platform, {})
    assert told["GATEWAY_INSTANCE"] == "2"
    assert told["GATEWAY_PORT"] == str(named(platform, "gateway-2").port)
    assert told["GATEWAY_DATABASE"] == f"postgresql://gateway:{SECRETS.gateway}@127.0.0.1:5432/carillon"
    assert told["KAFKA_BOOTSTRAP_SERVERS"] == "127.0.0.1:9092"
    assert told["INTERNAL_TRACKER_URL"] == named(platform, "tracker").url


def test_a_service_is_not_told_what_is_not_its_business(platform: Platform) -> None:
    told = services.environment(named(platform, "tracker"), platform, {"GATEWAY_POOL_SIZE": "9", "AWS_SECRET": "x"})
    assert not [name for name in told if name.startswith(("GATEWAY_", "AWS_"))]
    assert SECRETS.gateway_pepper not in told.values()


def test_dispatchers_of_all_channels_share_a_role_and_only_webhooks_are_signed(platform: Platform) -> None:
    assert len(set(services.ROLES)) == len(services.ROLES)
    told = {
        channel: services.environment(named(platform, f"dispatcher-{channel}"), platform, {})
        for channel in ("sms", "viber", "webhook")
    }
    for channel, environment in told.items():
        assert environment[f"DISPATCHER_{channel.upper()}_DATABASE"] == platform.dsn("dispatch")
    assert [channel for channel in told if "SIGNING_KEY" in told[channel]] == ["webhook"]
    assert services.environment(named(platform, "gateway"), platform, {})["SIGNING_KEY"] == SECRETS.signing_key
    assert told["viber"]["DISPATCHER_VIBER_CARRIER_URL"] == named(platform, "sandbox").url


def test_the_callers_own_settings_are_handed_on_but_not_ports(platform: Platform) -> None:
    environ = {"GATEWAY_POOL_SIZE": "9", "GATEWAY_PORT": "0", "TELEMETRY_LOG_LEVEL": "debug"}
    told = services.environment(named(platform, "gateway"), platform, environ)
    assert told["GATEWAY_POOL_SIZE"] == "9"
    assert told["TELEMETRY_LOG_LEVEL"] == "debug"
    assert told["GATEWAY_PORT"] == str(named(platform, "gateway").port)


def test_endpoints(platform: Platform) -> None:
    content = endpoints.describe(
        platform.instances, kafka=platform.kafka, postgres=platform.dsn("reader"), processes={"kafka": 4711}
    )
    assert set(content) == {"gateway", "gateways", "sandbox", "kafka", "postgres", "services", "processes"}
    assert content["gateway"] == content["gateways"][0] == content["services"]["gateway"]
    assert content["gateways"][1] == content["services"]["gateway-2"]
    assert content["postgres"] == f"postgresql://reader:{SECRETS.reader}@127.0.0.1:5432/carillon"
    assert content["processes"] == {"kafka": 4711}


def test_endpoints_tell_enough_to_join_the_platform(platform: Platform) -> None:
    content = endpoints.describe(
        platform.instances, kafka=platform.kafka, postgres=platform.dsn("reader"), processes={}
    )
    joined = endpoints.platform(content, SECRETS)
    for instance in platform.instances:
        assert services.environment(instance, joined, {}) == services.environment(instance, platform, {})
