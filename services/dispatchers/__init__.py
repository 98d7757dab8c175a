"""Dispatchers: how? Stage a chunk, claim a range of it, send it over the channel's carrier, record what it came to.

Consumes   send.<channel>
Publishes  delivery.attempted, receipt.received
Owns       schema dispatch: chunks, claims, exceptions (one schema for all channels)
"""
