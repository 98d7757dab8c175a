"""How the bus fails."""

from libs.contracts.failures import Unavailable


class Refused(Unavailable):
    """Nothing was handed to Kafka: certainly not accepted."""


class OutcomeUnknown(Unavailable):
    """Kafka did not acknowledge in time: the record may have been written."""


class Unpublishable(Exception):  # noqa: N818 - a property of the message
    """Kafka will never take this message: it is too large."""


class Undecodable(Exception):  # noqa: N818 - a property of the record
    """A record that is not what its topic promises. `reason` holds nothing of the record's content.

    A `decode` of its own raises this to say what is wrong; anything else it raises is reported by its class alone.
    """

    def __init__(self, error_class: str, reason: str) -> None:
        super().__init__(f"{error_class}: {reason}")
        self.error_class = error_class
        self.reason = reason
