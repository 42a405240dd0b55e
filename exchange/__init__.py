"""An event-sourced options exchange: JSON-RPC 2.0 over one WebSocket, every command journaled first."""

__version__ = "0.1.0"
