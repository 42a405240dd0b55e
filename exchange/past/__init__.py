"""Answers to questions about the past: a process that reads the history, and the service that asks it.

The running exchange never opens the history. The process answers with the handlers of the gateway, over the read models
of the past moment in place of the present ones.
"""
