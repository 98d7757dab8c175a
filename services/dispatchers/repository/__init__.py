"""All the SQL of the dispatchers: claims and their results, gates, accounts, and the upkeep of what no event triggers.

Who takes locks on chunks or items never waits for one (SKIP LOCKED), accounts are locked last and in their order: so
nobody waits in a circle.
"""

from services.dispatchers.repository.accounts import Account, AccountRepository
from services.dispatchers.repository.claims import Claimed, ClaimRepository, Owner, Waiting, chunk_from
from services.dispatchers.repository.endings import Ending, EndingRepository
from services.dispatchers.repository.gates import Decision, GateRepository
from services.dispatchers.repository.rates import RateRepository
from services.dispatchers.repository.recorded import RecordRepository
from services.dispatchers.repository.upkeep import ROWS_AT_ONCE, UpkeepRepository

__all__ = [
    "ROWS_AT_ONCE",
    "Account",
    "AccountRepository",
    "ClaimRepository",
    "Claimed",
    "Decision",
    "Ending",
    "EndingRepository",
    "GateRepository",
    "Owner",
    "RateRepository",
    "RecordRepository",
    "UpkeepRepository",
    "Waiting",
    "chunk_from",
]
