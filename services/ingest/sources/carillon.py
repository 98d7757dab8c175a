"""Our own gateway's records: `send.notification` as the contracts have it."""

from pydantic import ValidationError

from libs.contracts.commands import SendNotification
from libs.contracts.ids import is_notification_id
from services.ingest.sources.reasons import describe
from services.ingest.submission import Arrival, Document, Submission, Unreadable


class Carillon:
    """The envelope is the contracts', the ids are the gateway's."""

    def recognises(self, document: Document) -> bool:
        """By the type that only our own commands have."""
        return document.get("type") == SendNotification.TYPE

    def read(self, document: Document, arrival: Arrival) -> Submission:
        """The command as it stands. Raises Unreadable, also for ids that are not a notification's or stand twice."""
        try:
            command = SendNotification.model_validate(document)
        except ValidationError as error:
            raise Unreadable(describe(error)) from None
        if command.version != 1:
            raise Unreadable("version: only version 1 is known")
        ids = [notification.notification_id for notification in command.notifications]
        if not all(map(is_notification_id, ids)):
            raise Unreadable("notification_id: not a notification's id")
        if len(set(ids)) < len(ids):
            raise Unreadable("notification_id: twice in one call")
        return Submission(
            event_id=command.event_id,
            tenant=command.tenant,
            key=command.key,
            occurred_at=command.occurred_at,
            dialect=command.dialect,
            origin=command.dialect,
            notifications=command.notifications,
            original=arrival.record,
        )
