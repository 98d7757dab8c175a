"""Scheduler: when?

Holds what has a later instant and releases it once, when Postgres's clock says so; keeps what is in force for whatever
is paused, resumed, cancelled or moved, and tells everybody. What is due on acceptance never comes through here.

Consumes   notification.accepted, control.notification
Publishes  expand.audience, notification.controlled
Owns       schema scheduler: waiting notifications, control states, the commands that led to them, dead letters
"""
