"""Rows about the market: index prices, marks and margin rates, instruments, settlements, and settings."""

from exchange.domain import commands as c
from exchange.domain import events as e
from exchange.history_db.new_rows import NULL, Keys, NewRows

_NO_KEYS = (NULL, NULL, NULL)


class MarketRows:
    """Adds the rows of events about the market to `new`. Methods for an event return its keys."""

    def __init__(self, new: NewRows) -> None:
        self._new = new
        self._marks = new.tables["mark_version"]

    def indexed(self, n: int, event: e.IndexPriceSet) -> Keys:
        """An index price."""
        new = self._new
        forced = int(isinstance(new.command, c.SetIndexPrice) and new.command.forced)
        new.tables["index_price"].append((event.asset, new.seq, n, new.ts_us, event.price_micros, forced))
        return _NO_KEYS

    def marked(self, n: int, event: e.MarksSet) -> Keys:
        """Marks, and the margin rates that follow from them."""
        new, seq, rates, books = self._new, self._new.seq, self._new.memory.rates, self._new.state.books
        for instrument_id, mark_micros in event.marks.items():
            instrument = new.instrument(instrument_id)
            rates[instrument] = nanos = books[instrument_id].initial_nanos
            self._marks.append((instrument, seq, n, mark_micros, nanos))
        return _NO_KEYS

    def surfaced(self, n: int, event: e.SurfaceSet) -> Keys:
        """New parameters of smiles."""
        rows = self._new.tables["smile_version"]
        rows += [(event.asset, smile[0], self._new.seq, n, *smile[1:]) for smile in event.smiles]
        return _NO_KEYS

    def listed(self, n: int, event: e.InstrumentCreated) -> Keys:
        """A new instrument. Its margin rate is known before it has a mark."""
        new, instrument = self._new, self._new.instrument(event.instrument_id)
        terms = (event.asset, event.option_type, event.strike_micros, event.expiration_s)
        steps = (event.tick_micros, event.min_size_milli)
        new.listed.append((*terms, *steps, new.seq, new.memory.listed, "open", instrument))
        new.memory.listed += 1
        new.memory.series[event.asset, event.expiration_s].append(instrument)
        new.tables["instrument_version"].append((instrument, new.seq, n, "open"))
        new.memory.rates[instrument] = nanos = new.state.books[event.instrument_id].initial_nanos
        self._marks.append((instrument, new.seq, n, None, nanos))
        return NULL, instrument, NULL

    def state_changed(self, n: int, event: e.InstrumentStateChanged) -> Keys:
        """An instrument that was paused or resumed, or that expired."""
        new, instrument = self._new, self._new.instrument(event.instrument_id)
        new.tables["instrument_version"].append((instrument, new.seq, n, event.state))
        new.instrument_states.append((event.state, instrument))
        return NULL, instrument, NULL

    def delivered(self, n: int, event: e.DeliveryPriceSet) -> Keys:
        """The delivery price of a series, which ends its marks."""
        new, asset, expiration_s = self._new, event.asset, event.expiration_s
        new.tables["series_settlement"].append((new.seq, n, asset, expiration_s, event.price_micros))
        new.deliveries.append((event.price_micros, asset, expiration_s))
        self._marks += [(instrument, new.seq, n, None, None) for instrument in new.memory.series[asset, expiration_s]]
        return _NO_KEYS

    def delayed(self, n: int, event: e.SettlementDelayed) -> Keys:
        """A series that waits for its delivery price."""
        row = (self._new.seq, n, event.asset, event.expiration_s, None)
        self._new.tables["series_settlement"].append(row)
        return _NO_KEYS

    def delisted(self, n: int, event: e.SeriesDelisted) -> Keys:
        """A series that is no longer listed: the last state of its instruments."""
        new = self._new
        for instrument in new.memory.series.pop((event.asset, event.expiration_s)):
            new.tables["instrument_version"].append((instrument, new.seq, n, "delisted"))
            new.instrument_states.append(("delisted", instrument))
        return _NO_KEYS

    def configured(self, _n: int, event: e.Configured | e.RulesChanged) -> Keys:
        """A set of rules."""
        self._set("rules", event)
        return _NO_KEYS

    def halted(self, _n: int, event: e.HaltSet) -> Keys:
        """The begin or the end of a halt."""
        self._set("halt", event)
        return _NO_KEYS

    def reopened(self, _n: int, _event: e.MarketReopening | e.SessionEnded) -> Keys:
        """The phases in which assets reopen, after a command that can change those of all of them."""
        for asset in self._new.state.indexes:
            self._add_phase(asset)
        return _NO_KEYS

    def post_only_began(self, _n: int, event: e.PostOnlyBegan) -> Keys:
        """The second phase of one asset."""
        self._add_phase(event.asset)
        return _NO_KEYS

    def _add_phase(self, asset: str) -> None:
        reopens_us = self._new.state.indexes[asset].reopens_us
        if reopens_us is not None:
            self._set(f"reopening {asset}", e.PostOnlyBegan(asset, reopens_us))

    def suspended(self, _n: int, event: e.SuspensionSet) -> Keys:
        """The begin or the end of a suspension."""
        self._set(f"suspension {event.user_id}", event)
        return self._new.user(event.user_id), NULL, NULL

    def limited(self, _n: int, event: e.LimitsSet) -> Keys:
        """The limits of a user."""
        self._set(f"limits {event.user_id}", event)
        return self._new.user(event.user_id), NULL, NULL

    def _set(self, subject: str, event: e.Event) -> None:
        self._new.tables["setting_version"].append((subject, self._new.seq, e.encode_event(event).decode()))

    def add_rates(self) -> None:
        """Add the margin rates that new rules changed without a new mark."""
        new = self._new
        for instrument_id, book in new.state.books.items():
            instrument = new.instrument(instrument_id)
            if book.delivery_micros is None and book.initial_nanos != new.memory.rates.get(instrument):
                new.memory.rates[instrument] = book.initial_nanos
                self._marks.append((instrument, new.seq, -1, book.mark_micros, book.initial_nanos))
