"""The language of a connection: its methods, how its requests are read, and the texts of its answers.

The path of the handshake chooses it. A dialect translates names, units, shapes and codes; it decides nothing.
"""

from collections.abc import Mapping
from typing import Any

from exchange.gateway import jsonrpc
from exchange.gateway.jsonrpc import Request, RpcError
from exchange.gateway.methods import Method


class Dialect:
    """The exchange's own language, on `/`."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self.methods = methods
        # True if answers say when their requests arrived.
        self.is_timed = False
        self.test_request = jsonrpc.TEST_REQUEST

    def parse(self, text: bytes) -> tuple[Request | None, RpcError | None, bytes | None]:
        """Parse a request: as `jsonrpc.parse_request`."""
        return jsonrpc.parse_request(text)

    def method(self, request: Request) -> Method | None:
        """The method of a request; None if there is none. Raises RpcError."""
        return self.methods.get(request.method)

    def result_text(self, raw_id: bytes, result: Any, arrived_us: int) -> bytes:
        """The answer with a result. `arrived_us` is 0 unless the dialect is timed."""
        return jsonrpc.result_text(raw_id, result)

    def error_text(self, raw_id: bytes, error: RpcError, arrived_us: int) -> bytes:
        """The answer with an error."""
        return jsonrpc.error_text(raw_id, error)
