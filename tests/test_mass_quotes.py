"""Mass quotes beyond the scenario tables: the read models, and a snapshot of them."""

import pytest

from exchange.domain.events import MmpTriggered
from exchange.matching.apply import apply
from exchange.matching.state import State
from exchange.matching.state_codec import decode_state, digest, encode_state
from exchange.projections.views import Views
from exchange.projections.views_codec import decode_views, encode_views
from tests.quote_commands import quote_steps

SEEDS = range(20, 26)


@pytest.mark.slow
def test_the_read_models_of_quotes_agree_with_the_matcher_and_survive_a_snapshot() -> None:
    assert sum(_frozen_in(seed) for seed in SEEDS) > 2, "no MMP group freezes in these streams"


def _frozen_in(seed: int) -> int:
    """Compare views and matcher along a stream. Return how often an MMP group froze."""
    state, views, frozen = State(), Views(), 0
    for seq, step in enumerate(quote_steps(seed, 400), 1):
        events = apply(state, step.ts_us, step.command)
        views.project(seq, step.ts_us, events)
        frozen += sum(isinstance(event, MmpTriggered) for event in events)
        if seq % 40 == 0:
            _compare(state, views)
            restored = decode_state(encode_state(state))
            _compare(restored, decode_views(encode_views(views)))
            assert digest(restored) == digest(state)
    return frozen


def _compare(state: State, views: Views) -> None:
    for user_id, account in state.accounts.items():
        groups = {group.mmp_group: group for group in views.mmp_groups(user_id)}
        assert list(groups) == list(account.mmp_groups)
        for name, group in account.mmp_groups.items():
            assert (groups[name].asset, groups[name].interval_s) == (group.asset, group.interval_s)
            # A freeze that has ended may stay noted in the views until the next one.
            assert group.frozen_until_us in (None, groups[name].frozen_until_us)
        shown = {order.order_id: (order.mmp_group, order.quote_set_id or "") for order in views.open_orders(user_id)}
        for order_id, order in account.open_orders.items():
            assert shown[order_id] == (order.mmp_group, order.quote_set_id)
