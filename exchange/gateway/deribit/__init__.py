"""Deribit's JSON-RPC API v2, on `/ws/api/v2`: the same session, rights, limits, journal and read models as `/`.

It translates names, units, shapes and codes; it decides nothing. `docs/deribit.md` says what differs, and why.
"""

WEBSOCKET_PATH = "/ws/api/v2"
API_PATH = "/api/v2"
