"""Tracker: what became of it.

Consumes   notification.accepted, notification.rejected, notification.expanded, send.<channel> (as "planned"),
           delivery.suppressed, delivery.attempted, receipt.received
Publishes  nothing
Owns       schema tracker: notifications with their counters, the state of every delivery, attempts, receipts, orphans
"""
