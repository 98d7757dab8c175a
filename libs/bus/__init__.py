"""The bus: the only package that knows Kafka. Typed publish and subscribe, at least once, in batches, on lanes."""

from libs.bus.bus import Bus
from libs.bus.creation import WrongPartitions, create_topics
from libs.bus.failures import OutcomeUnknown, Refused, Undecodable, Unpublishable
from libs.bus.health import SubscriptionHealth
from libs.bus.intake import Intake
from libs.bus.records import Decode, Effect, Handler, Outgoing, RawRecord, Received, Transactions
from libs.bus.resending import Resender
from libs.bus.settings import BusSettings

__all__ = [
    "Bus",
    "BusSettings",
    "Decode",
    "Effect",
    "Handler",
    "Intake",
    "OutcomeUnknown",
    "Outgoing",
    "RawRecord",
    "Received",
    "Refused",
    "Resender",
    "SubscriptionHealth",
    "Transactions",
    "Undecodable",
    "Unpublishable",
    "WrongPartitions",
    "create_topics",
]
