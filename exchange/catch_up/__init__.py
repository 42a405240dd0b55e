"""Replays the notifications that clients missed. docs/catch-up.md explains it with a picture."""
