"""The insurance, from rules version 2 on: its income, its payments for accounts that cannot pay, and shared losses.

The insurance pays for an account only if the account owes cash and owns no option: until then its equity may be
positive. The payment is a debt of the account, which its next cash repays. Below its floor the insurance pays nothing:
the winners of a settlement share the losses that remain. Model: Deribit's insurance fund; docs/market.md has the rules.
"""

from exchange.domain.events import DebtRepaid, LiquidationFeeCharged, LossShared, ShortfallCovered
from exchange.matching.accounts import FEES, INSURANCE, Account
from exchange.matching.apportion import apportion
from exchange.matching.cancellation import cancel_unaffordable_bids
from exchange.matching.state import Changes, State


def charge_liquidation_fee(
    state: State, changes: Changes, account: Account, instrument_id: str, order_id: int | None, fee_micros: int
) -> None:
    """Move a liquidation fee to the insurance, at most the cash of the account."""
    fee_micros = min(fee_micros, max(0, account.cash_micros))
    if fee_micros:
        _move(state, changes, account, -fee_micros)
        changes.events.append(LiquidationFeeCharged(account.user_id, instrument_id, order_id, fee_micros))


def repay_debt(state: State, changes: Changes, account: Account) -> None:
    """Use the cash of an account to repay its debt to the insurance, if it has both."""
    amount_micros = min(account.shortfall_micros, account.cash_micros)
    if amount_micros > 0:
        _move(state, changes, account, -amount_micros)
        account.shortfall_micros -= amount_micros
        changes.events.append(DebtRepaid(account.user_id, amount_micros, account.shortfall_micros))
        cancel_unaffordable_bids(state, changes, account)


def is_insolvent(account: Account) -> bool:
    """True if the account owes cash and owns no option that could pay for it. O(positions) if it owes cash."""
    return account.cash_micros < 0 and not any(one.position_milli > 0 for one in account.positions.values())


def cover_shortfall(state: State, changes: Changes, account: Account) -> None:
    """Pay the negative cash of an account, down to the floor of the insurance. The payment is a debt of the account."""
    insurance = state.accounts[INSURANCE]
    amount_micros = min(-account.cash_micros, insurance.cash_micros - state.liquidation_rules.insurance_floor_micros)
    if amount_micros > 0:
        _move(state, changes, account, amount_micros)
        account.shortfall_micros += amount_micros
        changes.events.append(ShortfallCovered(account.user_id, amount_micros, account.shortfall_micros))


def conclude_settlement(state: State, changes: Changes, nets: dict[str, int]) -> None:
    """Repay debts from the payouts of a settlement, then cover the accounts that cannot pay and share the rest.

    `nets` are the sums that were just paid to the accounts. An account that wins a share of all winnings bears the same
    share of the losses that the insurance cannot pay, at most all that it won.
    """
    winners = [account for account in state.accounts.values() if nets.get(account.user_id, 0) > 0]
    for account in winners:
        repay_debt(state, changes, account)
    insolvent = [one for one in state.accounts.values() if is_insolvent(one) and one.user_id != INSURANCE]
    missing_micros = -sum(account.cash_micros for account in insolvent)
    room_micros = state.accounts[INSURANCE].cash_micros - state.liquidation_rules.insurance_floor_micros
    # Of a balance below the floor, winners restore only what the positions of the insurance lost in this settlement.
    room_micros = max(room_micros, min(0, nets.get(INSURANCE, 0)))
    _share_loss(state, changes, winners, nets, missing_micros - room_micros)
    for account in insolvent:
        cover_shortfall(state, changes, account)


def _share_loss(state: State, changes: Changes, winners: list[Account], nets: dict[str, int], loss_micros: int) -> None:
    """Take a loss from the winners of a settlement, in proportion to their winnings that they still have."""
    won = {
        account.user_id: min(nets[account.user_id], account.cash_micros)
        for account in winners
        if account.cash_micros > 0 and account.user_id not in (FEES, INSURANCE)
    }
    loss_micros = min(loss_micros, sum(won.values()))
    if loss_micros <= 0:
        return
    shares = apportion(loss_micros, list(won.values()))
    for (user_id, won_micros), share_micros in zip(won.items(), shares, strict=True):
        _move(state, changes, state.accounts[user_id], -share_micros)
        changes.events.append(LossShared(user_id, share_micros, won_micros))


def _move(state: State, changes: Changes, account: Account, amount_micros: int) -> None:
    """Move cash from the insurance to an account, or back if negative."""
    insurance = state.accounts[INSURANCE]
    changes.track(account)
    changes.track(insurance)
    account.cash_micros += amount_micros
    insurance.cash_micros -= amount_micros
    if amount_micros > 0:
        state.note_overdrawn(account)
