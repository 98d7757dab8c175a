"""Where Kafka is, and what our topics and groups are called there."""

from typing import Annotated, ClassVar

from pydantic import Field

from libs.contracts.envelope import Message
from libs.contracts.topics import Topic
from libs.settings import Settings


class BusSettings(Settings):
    """Shared by every process that knows the bus. `bootstrap_servers` is a comma list of host:port; `topic_prefix`
    stands before every topic and consumer group, so that several platforms can share a cluster."""

    PREFIX: ClassVar[str] = "KAFKA_"

    bootstrap_servers: Annotated[str, Field(min_length=1)] = "127.0.0.1:9092"
    topic_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]*$", max_length=100)] = ""

    @property
    def servers(self) -> list[str]:
        """The bootstrap servers as a list: aiokafka reads a string with a comma as one host."""
        return [server.strip() for server in self.bootstrap_servers.split(",") if server.strip()]

    def topic_name(self, topic: Topic[Message]) -> str:
        """What Kafka knows `topic` as."""
        return self.topic_prefix + topic.name

    def group(self, service: str, name: str) -> str:
        """The consumer group of a service's subscription `name`.

        One group per subscription: members of one group rebalance together, so the urgent lane would stand still
        whenever a bulk consumer comes, goes or drains.
        """
        return f"{self.topic_prefix}{service}.{name}"
