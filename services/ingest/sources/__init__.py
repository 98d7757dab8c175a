"""The kinds of record on `send.notification`, each a file of pure translation.

To add one: copy json_record.py, say in `recognises` how its records differ from the others, translate in `read`,
raise Unreadable with `reasons.describe` for what does not fit, and add a line below. The first that recognises a record
reads it, so the least particular stands last. Its test is a table of record -> submission or reason.
"""

from services.ingest.sources.carillon import Carillon
from services.ingest.sources.cloudevents import CloudEvents
from services.ingest.sources.json_record import JsonRecord
from services.ingest.submission import Source

SOURCES: dict[str, Source] = {
    "cloudevents": CloudEvents(),
    "carillon": Carillon(),
    "json": JsonRecord(),
}
