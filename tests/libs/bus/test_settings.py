import pytest

from libs.bus import BusSettings
from libs.contracts.topics import SEND_SMS
from libs.settings import SettingsError, load


def test_servers_are_a_list() -> None:
    settings = load(BusSettings, {"KAFKA_BOOTSTRAP_SERVERS": "a:1, b:2,"})
    assert settings.servers == ["a:1", "b:2"]


def test_topics_and_groups_have_the_prefix() -> None:
    settings = BusSettings(topic_prefix="staging.")
    assert settings.topic_name(SEND_SMS.urgent) == "staging.send.sms.urgent"
    assert settings.group("tracker", "send.sms.urgent") == "staging.tracker.send.sms.urgent"


@pytest.mark.parametrize("prefix", ["a b", "é", "x" * 101])
def test_a_prefix_that_kafka_would_refuse(prefix: str) -> None:
    with pytest.raises(SettingsError):
        load(BusSettings, {"KAFKA_TOPIC_PREFIX": prefix})
