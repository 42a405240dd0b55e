"""The account that a private question is about."""

from exchange.domain.reasons import Reason
from exchange.gateway import params as p
from exchange.gateway.caller import Caller
from exchange.gateway.jsonrpc import RpcError, refused
from exchange.keys.key import ADMIN


def account_asked_for(caller: Caller, params: p.Params) -> str:
    """That of the caller, or the one that the administrator names. Raises RpcError.

    On a replay nobody is the administrator: who may see an account logs in as its user.
    """
    user_id = getattr(params, "user_id", None)
    if user_id is None or user_id == caller.user_id:
        return caller.user_id
    if caller.level < ADMIN:
        raise RpcError("not_permitted", "only the administrator may ask about another account: leave out user_id")
    if user_id not in caller.views.balances.users:
        raise refused(Reason.UNKNOWN_USER)
    return str(user_id)
