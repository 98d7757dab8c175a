"""Audience: to whom, on which channel, in what words.

Consumes   expand.audience, notification.controlled
Publishes  send.<channel>, delivery.suppressed, expand.audience (next page, parked pages), notification.expanded
Owns       schema audience: contacts and plans, a plan being who of an audience was chosen, who was left out and why;
           gates, and the commands parked behind one
"""
