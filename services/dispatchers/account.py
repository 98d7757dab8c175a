"""Our account with a carrier."""

from dataclasses import dataclass

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Account:
    """Where the carrier is, how we prove who we are, who the phone shows as sender unless the message says so, and
    where reports shall go."""

    url: str
    key: SecretStr
    sender: str
    callback_url: SecretStr
