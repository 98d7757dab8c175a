"""How long a claim is its process's, and how much of that time it may send in."""

from datetime import timedelta

REQUEST_TIMEOUT = 15.0  # seconds that one request to a carrier may take
LEASE = timedelta(seconds=90)
# Two answers must fit into it, and something must be left to send in.
SHORTEST_LEASE = timedelta(seconds=2 * REQUEST_TIMEOUT + 1)


def submit_within(lease: timedelta) -> float:
    """Seconds from the claim in which its messages may be submitted: what is left is enough for two more answers."""
    return lease.total_seconds() - 2 * REQUEST_TIMEOUT
