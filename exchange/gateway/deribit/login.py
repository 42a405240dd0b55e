"""`public/auth` with Deribit's grants, and the tokens in its answer."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from exchange.domain.commands import Command
from exchange.gateway import params as p
from exchange.gateway import results as r
from exchange.gateway.authentication import enter
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit.tokens import ACCESS_SECONDS, Tokens
from exchange.gateway.jsonrpc import RpcError, invalid_params
from exchange.gateway.methods import Method
from exchange.keys.key import ADMIN, TRADE


class AuthResult(Struct, frozen=True):
    """The tokens, and the rights in the words of Deribit."""

    access_token: str
    expires_in: int
    refresh_token: str
    scope: str
    token_type: str
    enabled_features: list[str]
    state: str | UnsetType = UNSET


class LoginMethod:
    """The method `public/auth`, on that of `/`."""

    def __init__(self, native: Method, tokens: Tokens) -> None:
        self._native = native
        self._tokens = tokens

    def method(self) -> Method:
        """The method with Deribit's parameters and result."""
        return self._native._replace(
            decode=p.Decoder(d.AuthParams), handle=self._handle, answer=self._answer, result=AuthResult
        )

    def _handle(self, caller: Caller, params: d.AuthParams) -> AuthResult | Command:
        if params.grant_type == "refresh_token":
            login = self._tokens.take_refresh(params.refresh_token or "")
            if login is None or caller.exchange.credentials.why_ended(login) is not None:
                raise RpcError("invalid_credentials", "the refresh_token is unknown, used or expired: log in again")
            result = enter(caller, login)
        else:
            if params.client_id is None:
                raise invalid_params("client_id", "parameter 'client_id' is missing", "missing_param")
            native = p.AuthParams(
                params.grant_type,
                params.client_id,
                params.client_secret,
                params.timestamp,
                params.nonce,
                params.data,
                params.signature,
            )
            result = self._native.handle(caller, native)
        if isinstance(result, r.LoginResult):
            return self._result(caller, params.state)
        assert isinstance(result, Command), "a login that is neither done nor a command"
        return result

    def _answer(self, caller: Caller, change: Any) -> AuthResult:
        assert self._native.answer is not None, "a login without an answer"
        self._native.answer(caller, change)
        return self._result(caller, None)

    def _result(self, caller: Caller, state: str | None) -> AuthResult:
        assert caller.login is not None, "logged in without a login"
        pair = self._tokens.give(caller.login)
        scope = f"connection {scope_of(caller.level)}"
        return AuthResult(
            pair.access, ACCESS_SECONDS, pair.refresh, scope, "bearer", [], UNSET if state is None else state
        )


def scope_of(level: int) -> str:
    """The rights of a level in the words of Deribit."""
    if level >= ADMIN:
        return "account:read_write mainaccount trade:read_write"
    return "account:read mainaccount trade:read_write" if level >= TRADE else "account:read mainaccount trade:read"
