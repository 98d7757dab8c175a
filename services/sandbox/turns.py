"""How often each message to a magic recipient was submitted. In memory, as all that a carrier knows."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.sandbox.magic import Answer, Behaviour
from services.sandbox.repository import Arrival

REMEMBERED = 10_000  # messages; whoever is forgotten begins anew

# Longer than a sender waits for an answer (ours waits 15 s).
NO_ANSWER_FOR = 20.0


class Turn(NamedTuple):
    """What happens to one submission of a magic message."""

    behaviour: Behaviour
    answer: Answer

    @property
    def patience(self) -> float:
        """How long the answer may be held back, in seconds."""
        return NO_ANSWER_FOR if self.answer is Answer.UNANSWERED else self.behaviour.answer_after


class Turns:
    """One carrier's: counts by the sender's key; the oldest are forgotten."""

    def __init__(self, magic: Mapping[str, Behaviour], remembered: int = REMEMBERED) -> None:
        self._magic = magic
        self._remembered = remembered
        self._submitted: dict[bytes, int] = {}

    def take(self, messages: Sequence[Arrival | str]) -> Mapping[int, Turn]:
        """What happens to each magic message of a request, by its position in `messages`; to most requests nothing."""
        return {
            position: self._turn(message)
            for position, message in enumerate(messages)
            if isinstance(message, Arrival) and message.recipient in self._magic
        }

    def _turn(self, message: Arrival) -> Turn:
        submitted = self._submitted
        earlier = submitted.get(message.attempt_key, 0)
        submitted[message.attempt_key] = earlier + 1
        if len(submitted) > self._remembered:
            del submitted[next(iter(submitted))]
        behaviour = self._magic[message.recipient]
        return Turn(behaviour, behaviour.answer(earlier))
