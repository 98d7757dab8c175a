"""Tracker: what became of it, and what follows when it did not arrive.

Consumes   notification.accepted, notification.rejected, notification.controlled, notification.expanded,
           send.<channel> (as "planned"), delivery.suppressed, delivery.attempted, receipt.received
Publishes  expand.audience (fallback, resend), delivery.settled, notification.completed
Owns       schema tracker: notifications with their counters, the state of every delivery, attempts, receipts, orphans,
           timers of fallbacks, what callers were told, an outbox
"""
