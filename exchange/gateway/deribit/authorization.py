"""The header `Authorization` of an HTTP request: a token, a client id with its secret, or a signature.

Source: https://docs.deribit.com/articles/authentication.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import NamedTuple

from exchange.gateway import params as p
from exchange.gateway.deribit.tokens import Tokens
from exchange.gateway.jsonrpc import RpcError
from exchange.keys.credentials import Login

_SCHEMES = "Bearer TOKEN, Basic, or deri-hmac-sha256 id=…,ts=…,nonce=…,sig=…"
_PARTS = ("id", "ts", "nonce", "sig")
# In milliseconds.
_TIMESTAMP = re.compile("[0-9]{1,15}")


class Authorization(NamedTuple):
    """A scheme in lower case, and what follows it."""

    scheme: str
    value: str

    @staticmethod
    def parse(text: str) -> Authorization:
        """Read a header. Raises RpcError."""
        scheme, _, value = text.strip().partition(" ")
        if scheme.lower() not in ("bearer", "basic", "deri-hmac-sha256"):
            raise _invalid(f"Authorization must be {_SCHEMES}")
        return Authorization(scheme.lower(), value.strip())

    @property
    def may_be_repeated(self) -> bool:
        """True if the same header authorizes the next request: a secret does, a signature is for one request."""
        return self.scheme == "basic"

    def login(self, check: Callable[[p.AuthParams], Login], tokens: Tokens, signed: str) -> Login:
        """The account that the header opens; `signed` is the text that a signature covers. Raises RpcError."""
        if self.scheme == "bearer":
            login = tokens.login_of(self.value)
            if login is None:
                raise RpcError("must_authenticate", "the token is unknown or expired: get another one with public/auth")
            return login
        return check(self._basic() if self.scheme == "basic" else self._signature(signed))

    def _basic(self) -> p.AuthParams:
        try:
            client_id, colon, secret = base64.b64decode(self.value, validate=True).decode().rpartition(":")
        except ValueError as error:
            raise _invalid("what follows Basic must be the base64 text of CLIENT_ID:SECRET") from error
        if not colon:
            raise _invalid("what follows Basic must be the base64 text of CLIENT_ID:SECRET")
        return p.AuthParams("client_credentials", client_id, secret)

    def _signature(self, signed: str) -> p.AuthParams:
        parts = dict(part.strip().split("=", 1) for part in self.value.split(",") if "=" in part)
        if any(not parts.get(name) for name in _PARTS) or not _TIMESTAMP.fullmatch(parts["ts"]):
            raise _invalid("what follows deri-hmac-sha256 must be id=…,ts=…,nonce=…,sig=…")
        return p.AuthParams(
            "client_signature", parts["id"], None, int(parts["ts"]), parts["nonce"][:64], signed, parts["sig"][:128]
        )


def signed_text(method: str, target: str, body: str) -> str:
    """The text that a signature of a request covers: method, target and body, each on a line of its own."""
    return f"{method.upper()}\n{target}\n{body}\n"


def _invalid(detail: str) -> RpcError:
    return RpcError("invalid_credentials", detail)
