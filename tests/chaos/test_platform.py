"""The platform under test sends to the carrier it is given, and to nobody else."""

from deploy.local import services
from deploy.local.secrets import Secrets
from deploy.local.services import Platform


def test_the_caller_may_name_another_carrier_and_nothing_else() -> None:
    instances = services.lay_out({}, gateway_port=0, sandbox_port=0)
    secrets = Secrets(**dict.fromkeys(Secrets.__dataclass_fields__, "generated"))
    platform = Platform(instances, 9092, 9093, 5432, secrets)
    environ = {f"DISPATCHER_SMS_{name}": "mine" for name in ("CARRIER_URL", "CARRIER_KEY", "PORT", "DATABASE")}
    told = services.environment(platform.first("dispatcher-sms"), platform, environ)
    assert told["DISPATCHER_SMS_CARRIER_URL"] == told["DISPATCHER_SMS_CARRIER_KEY"] == "mine"
    assert "mine" not in (told["DISPATCHER_SMS_PORT"], told["DISPATCHER_SMS_DATABASE"])
    told = services.environment(platform.first("dispatcher-sms"), platform, {})
    assert told["DISPATCHER_SMS_CARRIER_URL"] == platform.first("sandbox").url
