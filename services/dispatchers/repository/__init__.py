"""All the SQL of the dispatchers: claims and their results, and the upkeep of what no event triggers."""

from services.dispatchers.repository.claims import LEASE, Claimed, ClaimRepository, Owner, chunk_from
from services.dispatchers.repository.upkeep import ROWS_AT_ONCE, UpkeepRepository

__all__ = ["LEASE", "ROWS_AT_ONCE", "ClaimRepository", "Claimed", "Owner", "UpkeepRepository", "chunk_from"]
