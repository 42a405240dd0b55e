"""`public/auth`: logs a connection in as a user or as the administrator, and opens the account of a new user."""

from __future__ import annotations

import time

from msgspec import UNSET

from exchange.domain.commands import Command, OpenAccount
from exchange.domain.units import RESERVED_USERS
from exchange.gateway import params as p
from exchange.gateway import results as r
from exchange.gateway.caller import Caller
from exchange.gateway.jsonrpc import RpcError, invalid_params, rate_limited
from exchange.keys.credentials import CredentialsError, Login, SignedRequest
from exchange.keys.key import NOBODY, TRADE, user_of
from exchange.keys.throttle import FAILURES_MAX
from exchange.projections.fold import Change


def authenticate(caller: Caller, params: p.AuthParams) -> r.LoginResult | Command:
    """Log in. An unknown user's account is opened first, with the starting cash of the rules."""
    return enter(caller, checked_login(caller, params))


def enter(caller: Caller, login: Login) -> r.LoginResult | Command:
    """Log in after the check, or open the account first. Raises RpcError on a connection of another user."""
    user_id = login.user_id
    if caller.user_id not in ("", user_id):
        raise _invalid_credentials(
            f"this connection is logged in as {caller.user_id!r}: open another one for {user_id!r}"
        )
    caller.quota.check_login(user_id)
    # The administrator must be able to confirm the time when no account can be opened.
    if user_id in caller.views.balances.users or (user_id == "admin" and caller.exchange.clock_jump_us):
        return log_in(caller, login)
    users = caller.views.balances.users
    refused = caller.exchange.credentials.account_ids.why_refused(user_id, users, len(users))
    if refused is not None:
        raise invalid_params("client_id", refused)
    caller.quota.open_account()
    caller.opening = login
    return OpenAccount(user_id, 0 if user_id == "admin" else caller.exchange.rules.starting_cash_micros)


def authentication_answer(caller: Caller, change: Change) -> r.LoginResult:
    """Log in to the account that the command opened."""
    assert caller.opening is not None and caller.opening.user_id == change.user_id, "an account without a login"
    return log_in(caller, caller.opening)


def log_in(caller: Caller, login: Login) -> r.LoginResult:
    """Log the connection in, without a check."""
    caller.user_id, caller.level, caller.login = login.user_id, login.level, login
    caller.quota.log_in(login.user_id)
    if login.key is None:
        return r.LoginResult(login.user_id)
    expires_us = login.key.expires_us
    return r.LoginResult(login.user_id, login.key.right, UNSET if expires_us is None else expires_us)


def log_out(caller: Caller) -> None:
    """Log the connection out, without a check."""
    caller.user_id, caller.level, caller.login = "", NOBODY, None
    caller.quota.log_out()


def why_login_ended(caller: Caller) -> str | None:
    """Why the caller may not stay logged in, such as a key that was revoked; None if it may, or is not logged in."""
    return None if caller.login is None else caller.exchange.credentials.why_ended(caller.login)


def checked_login(caller: Caller, params: p.AuthParams) -> Login:
    """The account that the client may enter. Raises RpcError. Failed attempts make the next ones wait."""
    user_id = user_of(params.client_id)
    if user_id in RESERVED_USERS and user_id != "admin":
        raise _invalid_credentials(f"{user_id!r} is an account of the exchange itself: log in as another user")
    if caller.failed_logins >= FAILURES_MAX and not caller.user_id:
        raise _invalid_credentials(_too_many_failures())
    credentials, now_seconds = caller.exchange.credentials, time.monotonic()
    wait_seconds = credentials.throttle.wait_seconds(user_id, caller.address, now_seconds)
    if wait_seconds:
        detail = f"attempts to log in as {user_id!r} from this address have failed: wait before the next one"
        raise rate_limited(detail, int(wait_seconds * 1_000) + 1)
    try:
        if params.grant_type == "client_signature":
            login = credentials.log_in_signed(params.client_id, _signed(params))
        else:
            login = credentials.log_in(params.client_id, params.client_secret)
    except CredentialsError as error:
        credentials.throttle.failed(user_id, caller.address, now_seconds)
        _count_failure(caller)
        raise _invalid_credentials(str(error)) from error
    credentials.throttle.succeeded(user_id, caller.address)
    return login


def open_login(user_id: str) -> Login:
    """The login of a user whose account needs no key."""
    return Login(user_id, TRADE)


def _signed(params: p.AuthParams) -> SignedRequest:
    """What the client signed. Raises RpcError if a part is missing."""
    for name in ("timestamp", "nonce", "signature"):
        if getattr(params, name) is None:
            raise invalid_params(name, f"a signature needs {name}", "missing_param")
    assert params.timestamp is not None and params.nonce is not None and params.signature is not None
    return SignedRequest(params.timestamp, params.nonce, params.data, params.signature)


def _count_failure(caller: Caller) -> None:
    """Close the connection after some failures, unless it is logged in."""
    caller.failed_logins += 1
    if caller.failed_logins == FAILURES_MAX and not caller.user_id:
        caller.connection.reject(_too_many_failures())


def _too_many_failures() -> str:
    return f"{FAILURES_MAX} attempts to log in have failed on this connection"


def _invalid_credentials(detail: str) -> RpcError:
    return RpcError("invalid_credentials", detail)
