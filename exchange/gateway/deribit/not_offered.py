"""The methods and channels of Deribit for what this exchange does not have. Each is refused with a reason."""

from __future__ import annotations

from collections.abc import Iterator

from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.methods import Method, public

_COINS = "accounts hold play money in USDC: coins cannot be deposited, withdrawn or transferred"
_SUBACCOUNTS = "each user has one account: there are no subaccounts"
_BLOCKS = "all trades meet in the book: there are no block trades and no quotes on request"
_COMBOS = "there are single options only, no combos"
_FUTURES = "there are options only: no futures, no perpetuals and no funding"
_INDEX = "no volatility index is published: the tickers have the volatilities of single options"
_KEYS = "the operator makes the keys of accounts, with `exchange account`"
_PORTFOLIO_MARGIN = "all accounts have the standard margin: there is no portfolio margin"
_ACCOUNT = "accounts have no such setting"

# By group: why it is not offered, and the names of its methods.
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "coins": (
        _COINS,
        (
            "private/add_to_address_book",
            "private/cancel_transfer_by_id",
            "private/cancel_withdrawal",
            "private/create_deposit_address",
            "private/get_address_book",
            "private/get_current_deposit_address",
            "private/remove_from_address_book",
            "private/submit_transfer_between_subaccounts",
            "private/submit_transfer_to_subaccount",
            "private/submit_transfer_to_user",
            "private/update_in_address_book",
            "private/withdraw",
            "public/get_apr_history",
        ),
    ),
    "subaccounts": (
        _SUBACCOUNTS,
        (
            "private/change_subaccount_name",
            "private/create_subaccount",
            "private/move_positions",
            "private/remove_subaccount",
            "private/set_email_for_subaccount",
            "private/toggle_notifications_from_subaccount",
            "private/toggle_subaccount_login",
        ),
    ),
    "blocks": (
        _BLOCKS,
        (
            "private/accept_block_rfq",
            "private/add_block_rfq_quote",
            "private/approve_block_trade",
            "private/cancel_all_block_rfq_quotes",
            "private/cancel_block_rfq",
            "private/cancel_block_rfq_quote",
            "private/create_block_rfq",
            "private/edit_block_rfq_quote",
            "private/execute_block_trade",
            "private/get_block_rfq_makers",
            "private/get_block_rfq_quotes",
            "private/get_block_rfq_user_info",
            "private/get_block_rfqs",
            "private/get_block_trade",
            "private/get_block_trade_requests",
            "private/get_block_trades",
            "private/get_last_block_trades_by_currency",
            "private/invalidate_block_trade_signature",
            "private/reject_block_trade",
            "private/simulate_block_trade",
            "private/verify_block_trade",
            "public/get_block_rfq_trades",
        ),
    ),
    "combos": (
        _COMBOS,
        (
            "private/create_combo",
            "private/get_leg_prices",
            "public/get_combo_details",
            "public/get_combo_ids",
            "public/get_combos",
        ),
    ),
    "futures": (
        _FUTURES,
        (
            "public/get_funding_chart_data",
            "public/get_funding_rate_history",
            "public/get_funding_rate_value",
        ),
    ),
    "volatility index": (_INDEX, ("public/get_volatility_index_data",)),
    "keys": (
        _KEYS,
        (
            "private/change_api_key_name",
            "private/change_scope_in_api_key",
            "private/create_api_key",
            "private/disable_api_key",
            "private/edit_api_key",
            "private/enable_api_key",
            "private/list_api_keys",
            "private/remove_api_key",
            "private/reset_api_key",
        ),
    ),
    "portfolio margin": (_PORTFOLIO_MARGIN, ("private/change_margin_model", "private/pme/simulate")),
    "settings": (
        _ACCOUNT,
        (
            "private/enable_affiliate_program",
            "private/get_affiliate_program_info",
            "private/get_email_language",
            "private/set_announcement_as_read",
            "private/set_disabled_trading_products",
            "private/set_email_language",
            "private/set_self_trading_config",
        ),
    ),
}
# By the beginning of their names, the channels that are refused, and why.
CHANNELS = {
    "block_rfq": _BLOCKS,
    "block_trade_confirmations": _BLOCKS,
    "deribit_price_ranking": "the operator sets each index price: there are no sources to rank",
    "deribit_price_statistics": "no statistics are kept of the index: the channel candles of `/` has its candles",
    "deribit_volatility_index": _INDEX,
    "perpetual": _FUTURES,
    "user.combo_trades": _COMBOS,
}


def methods_not_offered() -> dict[str, Method]:
    """The methods that are refused. Each says why."""
    return {name: _refused(why) for name, why in _reasons()}


def why_no_channel(name: str) -> str | None:
    """Why a channel is not offered; None if the table does not name it."""
    return next((why for prefix, why in CHANNELS.items() if name.startswith(f"{prefix}.")), None)


def _reasons() -> Iterator[tuple[str, str]]:
    for why, names in GROUPS.values():
        for name in names:
            yield name, why


def _refused(why: str) -> Method:
    def refuse(_caller: Caller, _params: d.DeribitParams) -> None:
        raise RpcError("not_offered", why)

    return public(f"Refused: {why}.", d.DeribitParams, refuse, None)
