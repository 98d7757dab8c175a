"""What is broken, how, and what is promised meanwhile: the faults by their names in the guarantees."""

from dataclasses import replace

from tests.chaos import carrier_faults, kills
from tests.chaos.carriers import CarrierMode
from tests.chaos.controls import F16
from tests.chaos.keys import F17
from tests.chaos.load import Load
from tests.chaos.poison import F15
from tests.chaos.scenario import SETTINGS, Scenario

# The bulk lane is busy most of the time and the carrier slow, so that the dispatcher dies with claimed rows.
_BUSY = Load(per_second=20.0, bulk_every=1.5, bulk_size=1000, most_messages=60_000)
_F1 = Scenario(
    "F1",
    "kill -9 of each service in turn, twice",
    kills.kill_services,
    carriers=[CarrierMode(delay=0.4)],
    load=_BUSY,
)
# While Kafka is away every call that was begun asks again and again.
_CALM = Load(per_second=10.0, bulk_every=5.0, bulk_size=500, most_messages=10_000)

SCENARIOS = (
    _F1,
    replace(
        _F1,
        name="F1-keys",
        what=f"{_F1.what}; the carrier honours keys",
        carriers=[CarrierMode(honour_keys=True, delay=0.4)],
        per_hit=0,
    ),
    Scenario(
        "F2",
        "SIGTERM to each service in turn, twice, under load",
        kills.restart_services,
        carriers=[CarrierMode(delay=0.5)],
        per_hit=0,
    ),
    Scenario(
        "F3",
        f"SIGSTOP one of two dispatchers for {kills.FROZEN:g} s, twice its lease",
        kills.freeze_dispatcher,
        carriers=[CarrierMode(delay=0.4)],
        load=replace(_BUSY, bulk_every=3.0),
        spared=True,
        settings={
            **SETTINGS,
            "REPLICAS": "dispatcher-sms=2",
            "DISPATCHER_SMS_LEASE": f"{kills.LEASE:g}",
        },
    ),
    Scenario(
        "F4", f"kill -9 Kafka, held down {kills.DOWN:g} s", kills.kafka_down, load=_CALM, spared=True, answers=True
    ),
    Scenario("F5", f"SIGSTOP Kafka for {kills.DOWN:g} s", kills.kafka_frozen, load=_CALM, spared=True, answers=True),
    Scenario("F7", "kill -9 Postgres: the postmaster alone, then all", kills.kill_postgres, spared=True, answers=True),
    *carrier_faults.SCENARIOS,
    F15,
    F16,
    F17,
)
SHORT = Scenario(
    "short",
    "kill -9 of the dispatcher and one other service",
    kills.kill_two,
    load=Load(per_second=40.0, bulk_every=1.0, bulk_size=300, most_messages=2000),
)
