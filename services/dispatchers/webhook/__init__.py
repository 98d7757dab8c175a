"""Webhooks: a body is posted to an address of the caller's choice, signed as Standard Webhooks want it.

There is no carrier between us and the caller: each endpoint is looked after by itself, so that one that is slow, broken
or gone delays nobody else.
"""
