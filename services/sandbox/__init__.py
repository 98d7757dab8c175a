"""Sandbox: carriers that are not there, and an inbox that shows what really arrived over their wires.

Consumes   nothing from the bus: the dispatchers' HTTP requests to a simulated SMSC, Viber partner and webhook catcher
Publishes  nothing on the bus: the carriers' reports go back over HTTP
Owns       the inbox, in memory; what it held, and reports not yet sent, are gone after a restart
"""
