"""Faults while messages flow, and who counts what became of them.

An independent client (client.py) and independent carriers (carrier.py, which behave as behaviour.py says) keep ledgers
of their own; figures.py joins them with what the public API says (following.py), checker.py judges; books.py asks the
databases whether their sums add up. scenarios.py lists what is broken.
"""
