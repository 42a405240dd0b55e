"""Events of mass quotes and market maker protection as sentences for people."""

from exchange.amounts import cash, contracts, short_time
from exchange.domain.events import MassQuoted, MmpConfigSet, MmpResetDone, MmpTriggered, QuoteRefused

_QuoteEvent = MassQuoted | QuoteRefused | MmpConfigSet | MmpTriggered | MmpResetDone


def describe_quotes(event: _QuoteEvent) -> str:
    """Describe an event of a mass quote or of an MMP group in one line."""
    match event:
        case MassQuoted():
            return (
                f"mass quote {event.quote_id!r} of {event.user_id} in group {event.mmp_group}: "
                f"{len(event.orders)} sides set, {len(event.unchanged)} unchanged"
            )
        case QuoteRefused():
            return f"the {event.side} of {event.user_id} in {event.instrument_id} is refused: {event.reason.value}"
        case MmpConfigSet():
            if not event.interval_s:
                return f"MMP group {event.mmp_group} of {event.user_id} is removed"
            return f"MMP group {event.mmp_group} of {event.user_id} on {event.asset}: {_limits(event)}"
        case MmpTriggered():
            until = f"until {short_time(event.frozen_until_us)}" if event.frozen_until_us else "until it is reset"
            return (
                f"MMP group {event.mmp_group} of {event.user_id} reaches its limit of {event.limit} "
                f"with {contracts(event.quantity_milli)} traded, and is frozen {until}"
            )
        case MmpResetDone():
            return f"MMP group {event.mmp_group} of {event.user_id} is reset"


def _limits(event: MmpConfigSet) -> str:
    frozen = f"frozen for {event.frozen_s} s" if event.frozen_s else "frozen until it is reset"
    limits = [f"intervals of {event.interval_s} s", frozen]
    if event.quantity_limit_milli:
        limits.append(f"at most {contracts(event.quantity_limit_milli)} contracts")
    if event.delta_limit_milli:
        limits.append(f"a delta of {contracts(event.delta_limit_milli)}")
    if event.vega_limit_micros:
        limits.append(f"a vega of {cash(event.vega_limit_micros)}")
    return ", ".join(limits)
