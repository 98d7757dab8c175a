"""Which dead letters `make redrive` means, and what the program is told."""

import pytest

from deploy.local import redrive, services
from deploy.local.secrets import Secrets
from deploy.local.services import Platform
from deploy.local.trouble import Trouble
from libs.redrive import CONSUMERS, RedriveSettings
from libs.settings import load

SECRETS = Secrets(**{name: f"secret-of-{name}" for name in Secrets.__dataclass_fields__})


def test_every_service_with_a_schema_can_be_named() -> None:
    assert set(redrive.ROLES) == set(CONSUMERS)
    for unknown in ("", "sandbox", "ingest-2"):
        with pytest.raises(Trouble, match="one of audience, dispatcher-sms,"):
            redrive.role_of(unknown)


def test_it_works_as_the_service_s_own_role() -> None:
    instances = services.lay_out({}, gateway_port=0, sandbox_port=0)
    platform = Platform(instances, 9092, 9093, 5432, SECRETS)
    told = redrive.environment(redrive.role_of("dispatcher-sms"), platform)
    assert told["KAFKA_BOOTSTRAP_SERVERS"] == "127.0.0.1:9092"
    database = load(RedriveSettings, told).database.get_secret_value()
    assert database == "postgresql://dispatch:secret-of-dispatch@127.0.0.1:5432/carillon"
