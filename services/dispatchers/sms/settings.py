"""The SMS dispatcher's settings."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from services.dispatchers.settings import DispatcherSettings, HttpUrl
from services.dispatchers.sms import PROVIDERS
from services.dispatchers.sms.account import Account


class SmsDispatcherSettings(DispatcherSettings):
    """Besides what every dispatcher needs: which provider, where, with which key, and the sender a phone shows."""

    PREFIX: ClassVar[str] = "DISPATCHER_SMS_"

    provider: str = "http_smsc"
    carrier_url: HttpUrl
    carrier_key: SecretStr
    sender: Annotated[str, Field(min_length=1, max_length=32)] = "Carillon"

    @model_validator(mode="after")
    def provider_exists(self) -> Self:
        """Refuse a provider nobody wrote."""
        if self.provider not in PROVIDERS:
            raise ValueError(f"provider is one of {', '.join(PROVIDERS)}")
        return self

    def account(self) -> Account:
        """With the carrier, as its provider needs it."""
        secret = self.receipt_secret.get_secret_value()
        callback = f"{self.public_url.rstrip('/')}/receipts/{self.provider}/{secret}"
        return Account(self.carrier_url, self.carrier_key, self.sender, SecretStr(callback))
