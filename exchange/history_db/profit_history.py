"""The profit of an account over time, in parts that follow from its cash and the value of its positions.

Each point is the account as `private/get_account` shows it at that moment. The parts come from the rows that the
transaction log shows, so that their sum equals the change of the equity only if no movement of cash is missing.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from exchange.history_db.moments import last_at, time_of
from exchange.history_db.past_views import PastViews
from exchange.history_db.timeline import Command, seqs_between
from exchange.history_db.transactions import movement_sums
from exchange.projections.balances import AccountBalances, null_if_unsafe
from exchange.projections.timeline import SeqRange
from exchange.projections.wire_types import ProfitHistory, ProfitPoint

# Of one answer: some seconds. Other questions wait so long.
_STEPS_MAX = 150_000_000
_PARTS = {
    "trade": "trading",
    "settlement": "settlement",
    "shared_loss": "settlement",
    "liquidation": "liquidation",
    "liquidation_fee": "liquidation",
    "shortfall": "liquidation",
    "debt": "liquidation",
    "fee": "fees",
}


def profit_history(views: PastViews, user_id: str, wanted: SeqRange, points: int) -> ProfitHistory | None:
    """Return the profit of an account at moments that are evenly spread in time; None if no command lies in the range.

    The first moment is the first command of the range, and the parts count from there. Raises TooMuchToReadError.
    O(points * instruments that the account ever held + movements of its cash).
    """
    first_seq, last_seq = seqs_between(views, wanted)
    user = views.user_key(user_id)
    if first_seq > last_seq or user is None:
        return None
    with views.bounded(_STEPS_MAX):
        moments = _moments(views, first_seq, last_seq, points)
        flows = _flows(views, user_id, user, [moment.seq for moment in moments])
        found = list[ProfitPoint]()
        so_far = Counter[str]()
        first_value_micros: int | None = None
        for moment, flow in zip(moments, flows, strict=True):
            so_far.update(flow)
            then = views.at(moment.seq, user)
            account = then.balances.users.get(user_id) or AccountBalances()
            basis_micros = sum(position.basis_micros for position in account.positions.values())
            value_micros = basis_micros + account.unrealised_micros(then.valuation)
            if first_value_micros is None:
                first_value_micros = value_micros
            held = {name: position.quantity_milli for name, position in account.open_positions()}
            parts = Counter(so_far)
            parts["trading"] += value_micros - first_value_micros
            found.append(
                ProfitPoint(
                    moment.seq,
                    moment.ts_us,
                    null_if_unsafe(account.cash_micros + value_micros),
                    null_if_unsafe(sum(parts.values()) - parts["payments"]),
                    null_if_unsafe(parts["trading"]),
                    null_if_unsafe(parts["settlement"]),
                    null_if_unsafe(parts["fees"]),
                    null_if_unsafe(parts["liquidation"]),
                    null_if_unsafe(parts["payments"]),
                    account.locked_micros,
                    account.maintenance_micros,
                    then.greeks_by_asset(held),
                )
            )
    return ProfitHistory(user_id, found, views.seq)


def _moments(views: PastViews, first_seq: int, last_seq: int, count: int) -> list[Command]:
    """The first command, and the last one of each of the equal intervals of time, each only once."""
    first_us, last_us = time_of(views, first_seq), time_of(views, last_seq)
    times = [first_us + (last_us - first_us) * number // (count - 1) for number in range(count)]
    seqs = [first_seq, *(last_at(views, ts_us) or first_seq for ts_us in times[1:-1]), last_seq]
    return [Command(seq, time_of(views, seq)) for seq in dict.fromkeys(seqs)]


def _flows(views: PastViews, user_id: str, user: int, seqs: Sequence[int]) -> list[Counter[str]]:
    """The movements of cash up to each of the seqs since the one before, by part."""
    flows = [Counter[str]() for _ in seqs]
    for seq, kind, change_micros, fee_micros in movement_sums(views, user_id, user, seqs[0] + 1, seqs[-1]):
        flow = flows[bisect_left(seqs, seq)]
        flow[_PARTS.get(kind, "payments")] += change_micros + fee_micros
        flow["fees"] -= fee_micros
    return flows
