"""Faults while messages flow, and who counts what became of them.

An independent client (client.py) and an independent carrier (carrier.py) keep ledgers of their own; checker.py joins
them with what the public API says (following.py); books.py asks the databases whether their sums add up.
"""
