"""Gateway: what was asked, over HTTP, in any of the documented dialects.

Consumes   nothing
Publishes  send.notification
Owns       schema gateway: tenants, credentials, idempotency records
"""
