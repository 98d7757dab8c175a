"""The SMS dispatcher's settings."""

from typing import ClassVar

from services.dispatchers.settings import CarrierSettings
from services.dispatchers.sms import PROVIDERS


class SmsDispatcherSettings(CarrierSettings):
    """One account with an SMS carrier, or several routes."""

    PREFIX: ClassVar[str] = "DISPATCHER_SMS_"
    PROVIDERS = PROVIDERS

    provider: str = "http_smsc"
