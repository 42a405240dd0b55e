"""JSON-RPC 2.0 over WebSocket. Only `server.py` touches sockets; a session takes text and gives texts."""
