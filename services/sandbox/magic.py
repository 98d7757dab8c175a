"""Magic recipients: phone numbers at which a simulated carrier always behaves in one way.

They are numbers that Ofcom keeps for drama (+44 7700 900000 to 900999), so that they can reach nobody anywhere else.
`deploy/demo/magic.csv` lists the same for callers, with the state in which each delivery must end. A number is magic on
its own channel only: on another it takes messages like any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

EARLY_BY = 1.0  # seconds


class Answer(Enum):
    """What a submission of one message is told. UNANSWERED takes the message and tells nothing."""

    ACCEPTED = auto()
    UNANSWERED = auto()
    REJECTED = auto()
    NO_FUNDS = auto()
    THROTTLED = auto()
    FAILED = auto()


TAKING = frozenset({Answer.ACCEPTED, Answer.UNANSWERED})


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What happens to a message. `first` are the answers to its first submissions, `then` to every further one; its key
    says that it is the same message. `reports` are (seconds after it was taken, status); `answer_after` is in seconds.
    """

    name: str
    first: Sequence[Answer] = ()
    then: Answer = Answer.ACCEPTED
    reports: Sequence[tuple[float, str]] = ((2.0, "delivered"),)
    answer_after: float = 0.0

    def answer(self, earlier: int) -> Answer:
        """What a submission is told when `earlier` came before it."""
        return self.first[earlier] if earlier < len(self.first) else self.then


# By recipient, digits only as the inbox writes them.
SMS: Mapping[str, Behaviour] = {
    "447700900001": Behaviour("delivered_after_2s"),
    "447700900002": Behaviour("never_reported", reports=()),
    "447700900003": Behaviour("rejected", then=Answer.REJECTED, reports=()),
    "447700900004": Behaviour("undelivered", reports=((2.0, "undelivered"),)),
    "447700900005": Behaviour("throttled", first=(Answer.THROTTLED,)),
    "447700900006": Behaviour("times_out", first=(Answer.UNANSWERED,)),
    "447700900007": Behaviour("flaky", first=(Answer.FAILED, Answer.FAILED)),
    # Two in one call and one in a call of its own.
    "447700900008": Behaviour(
        "duplicate_reports", reports=((2.0, "delivered"), (2.0, "delivered"), (3.0, "delivered"))
    ),
    "447700900009": Behaviour("late_report", reports=((2.0, "delivered"), (3.0, "on_phone"))),
    "447700900010": Behaviour("report_before_answer", reports=((0.0, "delivered"),), answer_after=EARLY_BY),
    "447700900011": Behaviour("no_funds", then=Answer.NO_FUNDS, reports=()),
    "447700900012": Behaviour("rejected_later", reports=((2.0, "rejected"),)),
    "447700900013": Behaviour("corrected", reports=((2.0, "undelivered"), (4.0, "delivered"))),
    "447700900014": Behaviour("on_phone_then_delivered", reports=((1.0, "on_phone"), (3.0, "delivered"))),
    "447700900015": Behaviour("stays_on_phone", reports=((2.0, "on_phone"),)),
    "447700900016": Behaviour("delivered_after_10s", reports=((10.0, "delivered"),)),
}
VIBER: Mapping[str, Behaviour] = {
    "447700900101": Behaviour("viber_delivered"),
    "447700900102": Behaviour("viber_seen", reports=((1.0, "on_device"), (2.0, "delivered"), (3.0, "seen"))),
    "447700900103": Behaviour("viber_never_reported", reports=()),
    "447700900104": Behaviour("viber_not_a_user", then=Answer.REJECTED, reports=()),
    "447700900105": Behaviour("viber_undelivered", reports=((2.0, "undelivered"),)),
    "447700900106": Behaviour("viber_blocked_later", reports=((2.0, "blocked"),)),
    "447700900107": Behaviour("viber_no_funds", then=Answer.NO_FUNDS, reports=()),
    "447700900108": Behaviour("viber_busy", first=(Answer.THROTTLED,)),
    "447700900109": Behaviour("viber_times_out", first=(Answer.UNANSWERED,)),
    "447700900110": Behaviour("viber_flaky", first=(Answer.FAILED, Answer.FAILED)),
    "447700900111": Behaviour("viber_corrected", reports=((2.0, "undelivered"), (4.0, "delivered"))),
}
MAGIC: Mapping[str, Mapping[str, Behaviour]] = {"sms": SMS, "viber": VIBER}
