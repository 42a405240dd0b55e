"""Rows about mass quotes and market maker protection."""

from exchange.domain import events as e
from exchange.history_db.new_rows import NULL, Keys, NewRows


class QuoteRows:
    """Adds the rows of events about quotes and MMP groups to `new`. Methods for an event return its keys."""

    def __init__(self, new: NewRows) -> None:
        self._new = new

    def quoted(self, n: int, event: e.MassQuoted) -> Keys:
        """The orders that a mass quote placed or changed."""
        seq, terms = self._new.seq, self._new.tables["quote_terms"]
        for order_id, quote_set_id in event.orders:
            terms.append((order_id, seq, event.mmp_group, quote_set_id or NULL, event.quote_id))
        return self._new.user(event.user_id), NULL, NULL

    def configured(self, n: int, event: e.MmpConfigSet) -> Keys:
        """New limits of a group; an interval of 0 removes it."""
        user = self._new.user(event.user_id)
        limits = (event.quantity_limit_milli, event.delta_limit_milli, event.vega_limit_micros)
        names = (self._new.seq, user, event.mmp_group, event.asset, event.interval_s, event.frozen_s)
        self._new.tables["mmp_config"].append((*names, *[limit or NULL for limit in limits]))
        return user, NULL, NULL

    def reset(self, n: int, event: e.MmpResetDone) -> Keys:
        """The end of a freeze by command."""
        user = self._new.user(event.user_id)
        row = (self._new.seq, n, user, event.mmp_group, NULL, NULL, NULL, NULL, NULL, NULL)
        self._new.tables["mmp_trigger"].append(row)
        return user, NULL, NULL

    def triggered(self, n: int, event: e.MmpTriggered) -> Keys:
        """A group whose fills reached a limit."""
        user = self._new.user(event.user_id)
        delta = event.delta_milli if isinstance(event.delta_milli, int) else NULL
        vega = event.vega_micros if isinstance(event.vega_micros, int) else NULL
        names = (self._new.seq, n, user, event.mmp_group, event.asset, event.limit, event.frozen_until_us)
        self._new.tables["mmp_trigger"].append((*names, event.quantity_milli, delta, vega))
        return user, NULL, NULL
