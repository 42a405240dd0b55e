"""The texts of Deribit's dialect: each answer says when its request arrived, and how long it took."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from exchange.gateway import jsonrpc
from exchange.gateway import params as p
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import WEBSOCKET_PATH
from exchange.gateway.deribit.errors import error_of
from exchange.gateway.deribit.login import token_in, with_token
from exchange.gateway.deribit.methods import deribit_methods
from exchange.gateway.deribit.tokens import Tokens
from exchange.gateway.dialect import Dialect
from exchange.gateway.jsonrpc import Request, RpcError, encode
from exchange.gateway.methods import Method

# They act on a connection that stays, so that HTTP cannot have them.
_OF_CONNECTIONS = (
    "public/subscribe",
    "public/unsubscribe",
    "public/unsubscribe_all",
    "private/subscribe",
    "private/unsubscribe",
    "private/unsubscribe_all",
    "public/set_heartbeat",
    "public/disable_heartbeat",
    "private/enable_cancel_on_disconnect",
    "private/disable_cancel_on_disconnect",
    "private/get_cancel_on_disconnect",
    "private/logout",
)


class DeribitDialect(Dialect):
    """Deribit's methods on those of the exchange."""

    def __init__(self, methods: Mapping[str, Method], now_us: Callable[[], int], tokens: Tokens) -> None:
        super().__init__(methods)
        self._now_us = now_us
        self._tokens = tokens
        self.is_timed = True

    def parse(self, text: bytes) -> tuple[Request | None, RpcError | None, bytes | None]:
        """Parse a request. As on Deribit, it need not name the version of JSON-RPC, and a method may begin with `/`."""
        request, error, raw_id = jsonrpc.parse_request(text, needs_version=False)
        if request is not None and request.method.startswith("/"):
            request.method = request.method[1:]
        return request, error, raw_id

    def method(self, request: Request) -> Method | None:
        """The method of a request. One with an access token in its parameters is of the account of that token."""
        method = super().method(request)
        if method is None or method.access != "private" or b'"access_token"' not in bytes(request.params):
            return method
        token = token_in(request.params)
        if token is None:
            return method
        login = self._tokens.login_of(token)
        if login is None:
            raise RpcError("must_authenticate", "the token is unknown or expired: get another one with public/auth")
        return with_token(method, login)

    def result_text(self, raw_id: bytes, result: Any, arrived_us: int) -> bytes:
        """The answer with a result."""
        return b'{"jsonrpc":"2.0",%b"result":%b,%b}' % (_id(raw_id), encode(result), self._times(arrived_us))

    def error_text(self, raw_id: bytes, error: RpcError, arrived_us: int) -> bytes:
        """The answer with an error: Deribit's code, and the detail of the refusal."""
        data: dict[str, Any] = error.data
        code, message = error_of(data["reason"])
        # Deribit has the reason for people in `reason`; ours, for programs, is in `code`.
        told = {"reason": data["detail"], "code": data["reason"]}
        if data.get("param") is not None:
            told["param"] = data["param"]
        body = {"code": code, "message": message, "data": told}
        return b'{"jsonrpc":"2.0",%b"error":%b,%b}' % (_id(raw_id), encode(body), self._times(arrived_us))

    def _times(self, arrived_us: int) -> bytes:
        now_us = self._now_us()
        times = (arrived_us, now_us, now_us - arrived_us)
        return b'"usIn":%d,"usOut":%d,"usDiff":%d,"testnet":true' % times


class DeribitDialects:
    """The dialects of the WebSocket and of HTTP, with the tokens that all of them know.

    `of_numbers` is that of JSON in a body; `of_texts` that of a query string, in which numbers are texts.
    """

    def __init__(self, native: Mapping[str, Method], now_us: Callable[[], int]) -> None:
        self.now_us = now_us
        self.tokens = Tokens(time.monotonic)
        methods = deribit_methods(native, self.tokens)
        self.of_websocket = DeribitDialect(methods, now_us, self.tokens)
        without_connection = {
            name: method._replace(handle=_needs_websocket) if name in _OF_CONNECTIONS else method
            for name, method in methods.items()
        }
        self.of_numbers = DeribitDialect(without_connection, now_us, self.tokens)
        self.of_texts = DeribitDialect(
            {
                name: method._replace(decode=p.Decoder(method.params, is_strict=False))
                for name, method in without_connection.items()
            },
            now_us,
            self.tokens,
        )


def _id(raw_id: bytes) -> bytes:
    # A request in a query string has no id.
    return b"" if raw_id == b"null" else b'"id":%b,' % raw_id


def _needs_websocket(_caller: Caller, _params: Any) -> None:
    raise RpcError("not_over_http", f"this method needs a connection that stays: use a WebSocket on {WEBSOCKET_PATH}")
