"""The HTTP shapes the gateway speaks: one file of pure translation each, and one line in `DIALECTS`.

To add one, copy altegio.py:
1. A class per call, of one of four kinds (translation.py): `SendCall` asks for notifications, `ReadCall` for what
   became of one, `ControlCall` orders something about one, `OwnerCall` is answered by whoever owns the matter. Each
   says its paths, what it demands (tokens, scope, resource), what it reads from the request, its documented answer.
2. A class for the API (`Dialect`): its name, its calls, `refuse`, which says any problem in its own error form, and
   `tell`, which puts into words what callers who asked for callbacks are told.
3. A line in `DIALECTS`, and one in `LOOKS_LIKE` for the paths whose unknown neighbours it answers for.
4. Its kinds of credential in provision.py, where the demo's are read.
5. A table in tests/services/gateway/dialects: request -> drafts or problem, problem -> bytes.
Limits, credentials, idempotency keys and acceptance are the engine's and are the same for all.
"""

import re

from services.gateway.dialects.altegio import Altegio
from services.gateway.dialects.native import Native
from services.gateway.dialects.smsby import SmsBy
from services.gateway.translation import Dialect

DIALECTS: dict[str, Dialect] = {
    "native": Native(),
    "altegio": Altegio(),
    "smsby": SmsBy(),
}

# Two vendors share /api/v1: one segment behind it looks like a method of sms.by, more like Altegio.
LOOKS_LIKE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"/api/v1/[^/]+"), "smsby"),
    (re.compile(r"(/api)?/v1(/.*)?", re.DOTALL), "altegio"),
)


def dialect_of(path: str) -> Dialect:
    """Whose error form a path is answered in."""
    for pattern, name in LOOKS_LIKE:
        if pattern.fullmatch(path):
            return DIALECTS[name]
    return DIALECTS["native"]
