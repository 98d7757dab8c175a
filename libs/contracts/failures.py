"""The one failure every layer agrees on."""


class Unavailable(Exception):  # noqa: N818 - the state of a dependency, not an error of ours
    """Something we depend on (Postgres, Kafka, another service) is away or too slow: nothing is wrong with the message,
    the same work will succeed later."""
