"""The Viber dispatcher's settings."""

from typing import ClassVar

from libs.settings import Port
from services.dispatchers.settings import CarrierSettings
from services.dispatchers.viber import PROVIDERS


class ViberDispatcherSettings(CarrierSettings):
    """Which provider, where, with which key, and the service name that a phone shows."""

    PREFIX: ClassVar[str] = "DISPATCHER_VIBER_"
    PROVIDERS = PROVIDERS

    port: Port = 8086
    provider: str = "http_viber"
