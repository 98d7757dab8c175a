"""Gateway: what was asked, over HTTP, in any of the documented dialects.

Tells callers who asked for it what became of their notifications, in the words of the same dialect.

Consumes   delivery.settled, notification.completed
Publishes  send.notification, control.notification
Owns       schema gateway: tenants, credentials, idempotency records, dead letters
"""
