"""Scheduler: when?

Holds what has a later instant and releases it once, when Postgres's clock says so. What is due on acceptance never
comes through here.

Consumes   notification.accepted
Publishes  expand.audience
Owns       schema scheduler: waiting notifications, dead letters
"""
