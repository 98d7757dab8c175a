"""Ingest: what was asked?

Takes calls from the gateway and records from internal producers, checks and stores each notification once, and sends on
what is due; what has a later instant it only announces. Keeps large bodies under their hash.

Consumes   send.notification
Publishes  notification.accepted, notification.rejected, expand.audience
Owns       schema ingest: notifications as validated, content, dead letters
"""
