"""SMS providers. To add one: copy http_smsc.py, translate, and give it a line in PROVIDERS.

A provider is a class with `request`, `outcomes` and `receipts` (services/dispatchers/provider.py) and a constructor
that takes the channel's `Account`; its test inherits tests/services/dispatchers/provider_suite.py.
"""

from collections.abc import Callable

from services.dispatchers.account import Account
from services.dispatchers.provider import Provider
from services.dispatchers.sms.http_smsc import HttpSmsc

PROVIDERS: dict[str, Callable[[Account], Provider]] = {HttpSmsc.name: HttpSmsc}
