"""An event-sourced options exchange: JSON-RPC 2.0 over one WebSocket, every command journaled first."""

# It decides which files the modules are loaded from, so it is imported before any of them.
from exchange import compiled as compiled

__version__ = "0.1.0"
