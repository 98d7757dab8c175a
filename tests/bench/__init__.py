"""Measurements of the running platform. Each is a command of its own; none of them is part of `make test`."""
