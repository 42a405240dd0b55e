"""Sends clients the notifications that they missed while they were away."""
