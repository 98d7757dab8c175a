"""Dispatchers: how? Stage a chunk, claim a range of it, send it over the channel's carrier, record what it came to.

Consumes   send.<channel>, notification.controlled
Publishes  delivery.attempted, receipt.received
Owns       schema dispatch: chunks, claims, exceptions, gates, accounts, rates (one schema for all channels)
"""
