"""`public/auth`: logs a connection in as a user or as the administrator, and opens the account of a new user."""

from __future__ import annotations

from exchange.domain.commands import Command, OpenAccount
from exchange.domain.units import RESERVED_USERS
from exchange.gateway import params as p
from exchange.gateway import results as r
from exchange.gateway.caller import Caller
from exchange.gateway.jsonrpc import RpcError
from exchange.projections.views import Change


def authenticate(caller: Caller, params: p.AuthParams) -> r.LoginResult | Command:
    """Log in. An unknown user's account is opened first, with the starting cash of the rules."""
    user_id = params.client_id
    if user_id == "admin":
        if not caller.exchange.is_admin_secret(params.client_secret):
            raise _invalid_credentials(
                "wrong client_secret: the administrator's secret is in the file JOURNAL.admin next to the journal"
            )
    elif user_id in RESERVED_USERS:
        raise _invalid_credentials(f"{user_id!r} is an account of the exchange itself: log in as another user")
    if caller.user_id not in ("", user_id):
        raise _invalid_credentials(
            f"this connection is logged in as {caller.user_id!r}: open another one for {user_id!r}"
        )
    if user_id in caller.views.balances.users:
        return log_in(caller, user_id)
    return OpenAccount(user_id, 0 if user_id == "admin" else caller.exchange.rules.starting_cash_micros)


def authentication_answer(caller: Caller, change: Change) -> r.LoginResult:
    """Log in to the account that the command opened."""
    return log_in(caller, change.user_id)


def log_in(caller: Caller, user_id: str) -> r.LoginResult:
    """Log the connection in as `user_id`, without a check."""
    caller.user_id = user_id
    return r.LoginResult(user_id)


def _invalid_credentials(detail: str) -> RpcError:
    return RpcError("invalid_credentials", detail)
