"""`public/auth` with Deribit's grants, the tokens in its answer, and `private/logout`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from websockets.frames import CloseCode

from exchange.domain.commands import Command
from exchange.gateway import params as p
from exchange.gateway import results as r
from exchange.gateway.authentication import enter
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit import shapes
from exchange.gateway.deribit.tokens import ACCESS_SECONDS, TokenPair, Tokens
from exchange.gateway.jsonrpc import RpcError, invalid_params
from exchange.gateway.methods import Method, public
from exchange.keys.credentials import Login
from exchange.keys.key import ADMIN, NOBODY, READ, TRADE


class AuthResult(Struct, frozen=True):
    """The tokens, and the rights in the words of Deribit."""

    access_token: str
    expires_in: int
    refresh_token: str
    scope: str
    token_type: str
    sid: str
    enabled_features: list[str]
    state: str | UnsetType = UNSET


def login_methods(native: Mapping[str, Method], tokens: Tokens) -> dict[str, Method]:
    """The methods on these of the exchange."""
    login = _LoginMethods(native, tokens)
    return {
        "public/auth": native["public/auth"]._replace(
            decode=p.Decoder(d.AuthParams), handle=login.authenticate, answer=login.answer, result=AuthResult
        ),
        "public/exchange_token": public(
            "Tokens for an account of the same user.", d.ExchangeTokenParams, login.exchange_token, AuthResult
        ),
        "public/fork_token": public("Tokens of a named session.", d.ForkTokenParams, login.fork_token, AuthResult),
        "private/logout": native["private/disable_cancel_on_disconnect"]._replace(
            level=READ,
            summary="Log out and close the connection. Orders stay.",
            decode=p.Decoder(d.LogoutParams),
            handle=login.log_out,
            answer=login.logged_out,
            result=str,
        ),
    }


class _WithToken(Struct):
    access_token: str | None = None


_decode_token = msgspec.json.Decoder(_WithToken).decode


def token_in(params: msgspec.Raw) -> str | None:
    """The access token in the parameters of a request. Raises RpcError if it is no text."""
    try:
        return _decode_token(params).access_token
    except msgspec.DecodeError as error:
        raise invalid_params("access_token", "access_token must be a text") from error


def with_token(method: Method, login: Login) -> Method:
    """The method for a request that brings an access token: it logs the connection in first."""

    def handle(caller: Caller, params: Any) -> Any:
        if (reason := caller.exchange.credentials.why_ended(login)) is not None:
            raise RpcError("invalid_credentials", reason)
        if caller.login is None:
            enter(caller, login)
        elif caller.user_id != login.user_id:
            raise RpcError("invalid_credentials", f"this connection is logged in as {caller.user_id!r}")
        if method.level > caller.level:
            raise RpcError("not_permitted", "the key of this token has the right to read only")
        return method.handle(caller, params)

    return method._replace(level=NOBODY, handle=handle)


class _LoginMethods:
    def __init__(self, native: Mapping[str, Method], tokens: Tokens) -> None:
        self._native = native["public/auth"]
        self._keep_orders = native["private/disable_cancel_on_disconnect"]
        self._tokens = tokens

    def authenticate(self, caller: Caller, params: d.AuthParams) -> AuthResult | Command:
        session = ""
        if params.grant_type == "refresh_token":
            found = self._tokens.take_refresh(params.refresh_token or "")
            if found is None or caller.exchange.credentials.why_ended(found[0]) is not None:
                raise RpcError("invalid_credentials", "the refresh_token is unknown, used or expired: log in again")
            session = found[1]
            result = enter(caller, found[0])
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
            return self._result(caller, params.state, session)
        assert isinstance(result, Command), "a login that is neither done nor a command"
        return result

    def answer(self, caller: Caller, change: Any) -> AuthResult:
        assert self._native.answer is not None, "a login without an answer"
        self._native.answer(caller, change)
        return self._result(caller, caller.asked.state, "")

    def exchange_token(self, caller: Caller, params: d.ExchangeTokenParams) -> AuthResult:
        """Tokens for the account with this number: only the user's own one."""
        login = self._login_of(caller, params.refresh_token)
        if shapes.account_number(caller.views, login.user_id) != params.subject_id:
            raise RpcError("not_permitted", "there are no subaccounts: subject_id must be the id of your own account")
        return _auth_result(self._tokens.give(login), f"connection {scope_of(login.level)}")

    def fork_token(self, caller: Caller, params: d.ForkTokenParams) -> AuthResult:
        """Tokens of another session of the same account."""
        login = self._login_of(caller, params.refresh_token)
        return _auth_result(self._tokens.give(login), f"session:{params.session_name} {scope_of(login.level)}")

    def log_out(self, caller: Caller, _params: d.LogoutParams) -> Command | str:
        """The command that keeps the orders; only a user who may trade can have switched that off."""
        if caller.level >= TRADE:
            command: Command = self._keep_orders.handle(caller, p.CommandParams())
            return command
        return self._end(caller, _params)

    def logged_out(self, caller: Caller, _change: Any) -> str:
        return self._end(caller, caller.asked)

    def _end(self, caller: Caller, params: d.LogoutParams) -> str:
        if params.invalidate_token and caller.tokens is not None:
            self._tokens.end(caller.user_id, caller.tokens.session)
        caller.connection.reject("the client logged out", CloseCode.NORMAL_CLOSURE)
        return "ok"

    def _login_of(self, caller: Caller, refresh: str) -> Login:
        login = self._tokens.login_of_refresh(refresh)
        if login is None or caller.exchange.credentials.why_ended(login) is not None:
            raise RpcError("invalid_credentials", "the refresh_token is unknown, used or expired: log in again")
        return login

    def _result(self, caller: Caller, state: str | None, session: str) -> AuthResult:
        assert caller.login is not None, "logged in without a login"
        caller.tokens = self._tokens.give(caller.login, session)
        return _auth_result(caller.tokens, f"connection {scope_of(caller.level)}", state)


def _auth_result(pair: TokenPair, scope: str, state: str | None = None) -> AuthResult:
    state_given = UNSET if state is None else state
    return AuthResult(pair.access, ACCESS_SECONDS, pair.refresh, scope, "bearer", pair.session, [], state_given)


def scope_of(level: int) -> str:
    """The rights of a level in the words of Deribit."""
    if level >= ADMIN:
        return "account:read_write mainaccount trade:read_write"
    return "account:read mainaccount trade:read_write" if level >= TRADE else "account:read mainaccount trade:read"
