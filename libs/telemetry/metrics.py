"""The one list of metrics: name, unit, meaning. Counted per batch, chunk or request, never per recipient."""

from prometheus_client import Counter, Gauge, Histogram

LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# --- every service
SPANS_DROPPED = Counter("carillon_spans_dropped_total", "Spans that did not reach the collector.")

# --- every service with an HTTP side
HTTP_REQUESTS = Counter(
    "carillon_http_requests_total", "Requests answered, by route, method and status.", ("route", "method", "status")
)
HTTP_SECONDS = Histogram(
    "carillon_http_request_seconds", "Seconds from a request's head to its answer.", ("route",), buckets=LATENCY_SECONDS
)
HTTP_IN_PROGRESS = Gauge("carillon_http_requests_in_progress", "Requests being answered now.")

# --- the bus
BUS_RECORDS = Counter("carillon_bus_records_total", "Records brought to their end, dead letters included.", ("topic",))
BUS_BATCHES = Counter("carillon_bus_batches_total", "Batches brought to their end.", ("topic",))
BUS_REWINDS = Counter("carillon_bus_rewinds_total", "Batches that must come again: something was away.", ("topic",))
BUS_DEAD_LETTERS = Counter("carillon_bus_dead_letters_total", "Records that could not be processed.", ("topic",))
BUS_PUBLISH_FAILURES = Counter(
    "carillon_bus_publish_failures_total", "Publishes that Kafka did not acknowledge in time."
)
BUS_RESTARTS = Counter("carillon_bus_restarts_total", "Consumers that were torn down and started anew.", ("topic",))
BUS_LAG = Gauge("carillon_bus_lag_records", "Records of the assigned partitions that wait or are in work.", ("topic",))
BUS_STOPPED = Gauge("carillon_bus_stopped", "1 when a consumer stopped for good: too many dead letters.", ("topic",))
INTAKE_OPEN = Gauge("carillon_intake_open", "1 while the breaker in front of Kafka refuses everything.")
INTAKE_REFUSED = Counter("carillon_intake_refused_total", "Commands refused before anything was handed to Kafka.")
INTAKE_UNKNOWN = Counter("carillon_intake_unknown_total", "Commands whose acknowledgement did not come in time.")

# --- audience
AUDIENCE_PAGES = Counter("carillon_audience_pages_total", "Pages of audiences frozen, redelivered ones included.")
AUDIENCE_PARKED = Counter(
    "carillon_audience_parked_total", "Pages put aside because their notification was paused or held."
)
AUDIENCE_RECIPIENTS = Counter(
    "carillon_audience_recipients_total", "Recipients of these pages, planned or suppressed.", ("decision",)
)

# --- tracker
TRACKER_TRANSITIONS = Counter("carillon_tracker_transitions_total", "Deliveries that came to a state.", ("state",))
TRACKER_CORRECTIONS = Counter(
    "carillon_tracker_corrections_total", "Deliveries that were reported delivered after not delivered."
)
TRACKER_ORPHANS = Counter(
    "carillon_tracker_orphans_total",
    "Receipts without a known submission: kept, joined by the sweep, dropped.",
    ("fate",),
)

# --- ingest
INGEST_NOTIFICATIONS = Counter(
    "carillon_ingest_notifications_total", "Notifications accepted (repeats included) and calls refused.", ("outcome",)
)

# --- scheduler
SCHEDULER_RELEASED = Counter("carillon_scheduler_released_total", "Notifications released, repeats included.")
SCHEDULER_MISSED = Counter("carillon_scheduler_missed_total", "Notifications held because their start was missed.")
SCHEDULER_LATENESS = Histogram(
    "carillon_scheduler_lateness_seconds",
    "Seconds from the instant to the release, the latest of each batch.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0, 3600.0),
)

# --- gateway
GATEWAY_ACCEPTED = Counter(
    "carillon_gateway_accepted_total", "Notifications that Kafka acknowledged.", ("dialect", "call", "lane")
)
GATEWAY_ACCEPT_SECONDS = Histogram(
    "carillon_gateway_accept_seconds",
    "Seconds from an understood call to Kafka's acknowledgement, or to giving up.",
    ("dialect",),
    buckets=LATENCY_SECONDS,
)
GATEWAY_REPLAYS = Counter(
    "carillon_gateway_replays_total", "Calls answered again from their Idempotency-Key.", ("dialect", "call")
)

GATEWAY_CONTROLLED = Counter(
    "carillon_gateway_controlled_total", "Orders about a notification that Kafka acknowledged.", ("action",)
)
GATEWAY_TOLD = Counter(
    "carillon_gateway_told_total", "Callbacks handed on to be sent, redelivered ones included.", ("dialect",)
)

# --- dispatchers
DISPATCH_CHUNKS_STAGED = Counter(
    "carillon_dispatch_chunks_staged_total", "Chunks staged, redelivered ones included.", ("lane",)
)
DISPATCH_REQUEST_SECONDS = Histogram(
    "carillon_dispatch_request_seconds",
    "Seconds from a request to the carrier to its answer.",
    ("provider", "lane"),
    buckets=LATENCY_SECONDS,
)
DISPATCH_CLAIMS_LOST = Counter("carillon_dispatch_claims_lost_total", "Claims whose lease ended before their record.")
DISPATCH_RECEIPTS = Counter("carillon_dispatch_receipts_total", "Carriers' reports passed on.", ("provider",))
