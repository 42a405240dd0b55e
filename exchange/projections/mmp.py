"""Views of MMP groups, made from their events."""

from msgspec import UNSET, UnsetType

from exchange.domain.events import MmpConfigSet, MmpTriggered
from exchange.projections.wire_types import MmpGroupView, MmpTriggerView


def mmp_group_view(event: MmpConfigSet, frozen_until_us: int | None) -> MmpGroupView:
    """Return the group with its new limits. A freeze stays."""
    return MmpGroupView(
        event.mmp_group,
        event.asset,
        event.interval_s,
        event.frozen_s,
        _or_none(event.quantity_limit_milli),
        _or_none(event.delta_limit_milli),
        _or_none(event.vega_limit_micros),
        frozen_until_us,
    )


def mmp_trigger_view(event: MmpTriggered, ts_us: int) -> MmpTriggerView:
    """Return the freeze as the channel publishes it."""
    return MmpTriggerView(
        event.mmp_group,
        event.asset,
        event.limit,
        event.frozen_until_us,
        event.quantity_milli,
        _or_none(event.delta_milli),
        _or_none(event.vega_micros),
        ts_us,
    )


def _or_none(value: int | UnsetType) -> int | None:
    return None if value is UNSET else value
