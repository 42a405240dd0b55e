"""Forwards of expirations: the basis in the rules, the marks, bands, volatilities and Greeks on them, and bad input."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.cli.rule_text import readable
from exchange.domain.commands import ChangeRules, Command, Genesis, OpenAccount, PlaceOrder, SetIndexPrice
from exchange.domain.enums import Side
from exchange.domain.events import Event, MarksSet, Refused, RulesChanged
from exchange.domain.forwards import DISTANCE_MAX_PPM, distance_error, forward_micros
from exchange.domain.reasons import Reason
from exchange.domain.rules import Market, Rules, Series, Surface, market_of, validation_error
from exchange.domain.smile import US_PER_YEAR
from exchange.domain.units import US_PER_DAY
from exchange.engine.engine import Engine
from exchange.journal.records import Record
from exchange.matching.state_codec import decode_state, encode_state
from exchange.projections.wire_types import Ticker
from exchange.runtime.rule_settings import RulesError, edited_rules, flat_settings
from exchange.runtime.server_settings import DEFAULT_RULES
from tests.cli_support import complained, exchange, said
from tests.journals import write_journal

USDC = 1_000_000
# Friday 2026-02-20 00:00:00 UTC; the expirations are of that day, of 27 March and of the last Friday of April.
START_US = 1_771_545_600_000_000
MARKET = Market(series=(Series("SOL", 10, 3, dailies=1, weeklies=0, monthlies=3),), index_age_max_s=0)
NEAR, FAR = "SOL_USDC-27MAR26", "SOL_USDC-24APR26"
BASIS_PPM = 500_000
MARKET_OF_DEFAULT = market_of(DEFAULT_RULES) or Market()


class OneMarket:
    """A market on SOL with these forwards, and its views."""

    def __init__(self, forwards: Mapping[str, int], market: Market = MARKET) -> None:
        self.engine = Engine()
        self.market = replace(market, forwards={**forwards}) if forwards else market
        self.ts_us = START_US
        self.send(Genesis(Rules(market=self.market), 2))
        for user_id in ("alice", "bob"):
            self.send(OpenAccount(user_id, 10_000_000 * USDC))
        self.index(150)

    def send(self, command: Command) -> list[Event]:
        self.ts_us += 1
        seq = self.engine.head.seq + 1
        events, _ = self.engine.step(Record(seq, self.ts_us, "", b""), command)
        self.engine.state.check()
        return events

    def index(self, price: int) -> list[Event]:
        return self.send(SetIndexPrice("SOL", price * USDC))

    def mark(self, instrument_id: str) -> int:
        return self.engine.state.books[instrument_id].mark_micros or 0

    def ticker(self, instrument_id: str) -> Ticker:
        return self.engine.views.ticker(instrument_id)

    def change(self, forwards: dict[str, int]) -> list[Event]:
        return self.send(ChangeRules(Rules(market=replace(self.market, forwards=forwards))))


def forward_of(exchange: OneMarket, series: str) -> int:
    """Return the forward that marks of a call and a put imply: F = K + C - P, to two ticks."""
    return 150 * USDC + exchange.mark(f"{series}-150-C") - exchange.mark(f"{series}-150-P")


def test_marks_are_values_on_the_forward_of_their_expiration() -> None:
    exchange = OneMarket({"SOL-27MAR26": BASIS_PPM})
    expected = forward_micros(150 * USDC, BASIS_PPM, 1_774_598_400_000_000 - exchange.ts_us)
    assert expected // USDC == 157, "5 weeks at 50 % a year"
    assert abs(forward_of(exchange, NEAR) - expected) <= 20_000
    assert forward_of(exchange, FAR) == 150 * USDC, "another expiration has none"
    assert exchange.mark(f"{NEAR}-120-C") >= expected - 120 * USDC > 30 * USDC, (
        "at least the intrinsic value at the forward"
    )


def test_a_basis_shrinks_until_the_expiration() -> None:
    price, left = 150 * USDC, US_PER_YEAR // 4
    assert forward_micros(price, 400_000, left) == 165 * USDC
    assert forward_micros(price, -400_000, left) == 135 * USDC
    assert forward_micros(price, 400_000, left // 10) == 151_500_000
    assert forward_micros(price, 400_000, 0) == forward_micros(price, 400_000, -1) == price
    assert forward_micros(price, -10_000_000, left) == price - price * DISTANCE_MAX_PPM // 1_000_000 > 0


def test_volatilities_and_greeks_are_those_on_the_forward() -> None:
    """The delta of a call at the forward is that of a call at the money, and the surface names the forward."""
    plain, moved = OneMarket({}), OneMarket({"SOL-27MAR26": BASIS_PPM})
    at_index, at_forward = plain.ticker(f"{NEAR}-150-C"), moved.ticker(f"{NEAR}-160-C")
    assert at_index.greeks is not None and at_forward.greeks is not None
    assert abs(at_forward.greeks.delta - at_index.greeks.delta) < 0.06
    shown = plain.ticker(f"{NEAR}-160-C").greeks
    assert shown is not None and at_forward.greeks.delta - shown.delta > 0.07
    assert at_forward.forward_micros and at_forward.forward_micros // 10_000 == 15_726
    assert not plain.ticker(f"{NEAR}-150-C").forward_micros and not moved.ticker(f"{FAR}-150-C").forward_micros
    surface = moved.engine.views.mark_surface("SOL")
    assert surface is not None
    assert [bool(smile.forward_micros) for smile in surface.smiles] == [False, False, True, False]


def test_bands_follow_the_forward_and_readers_compute_the_same() -> None:
    """A call may cost as much as the forward, which is above the index."""
    exchange = OneMarket({"SOL-27MAR26": 2_000_000}, replace(MARKET, series=(Series("SOL", 10, 15, monthlies=3),)))
    for instrument_id, book in exchange.engine.state.books.items():
        assert exchange.engine.views.price_band(instrument_id) == book.band
        assert book.band is not None and book.mark_micros is not None
        assert book.band[0] <= book.mark_micros + 10_000 and book.mark_micros <= book.band[1] + 10_000
    deep = exchange.engine.state.books[f"{NEAR}-10-C"]
    assert deep.band is not None and deep.band[1] > 150 * USDC
    restored = decode_state(encode_state(exchange.engine.state))
    assert {name: book.band for name, book in restored.books.items()} == {
        name: book.band for name, book in exchange.engine.state.books.items()
    }


def test_a_change_of_forwards_sets_marks_at_once_and_of_its_asset_alone() -> None:
    exchange = OneMarket({})
    before = exchange.mark(f"{NEAR}-150-C")
    events = exchange.change({"SOL-27MAR26": BASIS_PPM})
    assert isinstance(events[0], RulesChanged) and any(isinstance(event, MarksSet) for event in events)
    changed = exchange.mark(f"{NEAR}-150-C")
    assert changed > before + 3 * USDC
    assert exchange.ticker(f"{NEAR}-150-C").mark_micros == changed
    assert exchange.ticker(f"{NEAR}-150-C").forward_micros
    again = exchange.change({"SOL-27MAR26": BASIS_PPM})
    assert not any(isinstance(event, MarksSet) for event in again), "the forwards are the same"
    of_another = exchange.change({"SOL-27MAR26": BASIS_PPM, "BTC-27MAR26": 1})
    assert not any(isinstance(event, MarksSet) for event in of_another)
    exchange.change({})
    assert exchange.mark(f"{NEAR}-150-C") == before


def test_quotes_are_compared_with_values_on_the_forward() -> None:
    """Quotes at the values of the forward do not move the surface; those at values of the index do."""

    def levels(market_of_quotes: OneMarket) -> int:
        exchange = OneMarket({"SOL-27MAR26": BASIS_PPM}, replace(MARKET, surface=Surface(quotes_min=1)))
        for strike, kind in ((150, "P"), (160, "C"), (170, "C")):
            mark = market_of_quotes.mark(f"{NEAR}-{strike}-{kind}") // 10_000
            for user_id, ticks in (("alice", mark - 5), ("bob", mark + 5)):
                side: Side = "bid" if user_id == "alice" else "ask"
                price, name = ticks * 10_000, f"{NEAR}-{strike}-{kind}"
                exchange.send(PlaceOrder(user_id, name, side, "limit", "gtc", price, 2_000))
        exchange.ts_us += 60 * USDC
        exchange.index(150)
        return exchange.engine.state.indexes["SOL"].smiles[1_774_598_400_000_000].level_ppm

    assert abs(levels(OneMarket({"SOL-27MAR26": BASIS_PPM})) - 800_000) < 1_000
    assert abs(levels(OneMarket({})) - 800_000) == 10_000


def test_an_option_is_out_of_the_money_by_the_forward() -> None:
    """If the forward is 157, a put with K = 150 is out of the money: its quotes count, and those of the call do not."""
    for kind, moved_ppm in (("P", 10_000), ("C", 0)):
        exchange = OneMarket({"SOL-27MAR26": BASIS_PPM}, replace(MARKET, surface=Surface(quotes_min=1)))
        name = f"{NEAR}-150-{kind}"
        ticks = exchange.mark(name) // 10_000 + 100
        exchange.send(PlaceOrder("alice", name, "bid", "limit", "gtc", (ticks - 5) * 10_000, 2_000))
        exchange.send(PlaceOrder("bob", name, "ask", "limit", "gtc", (ticks + 5) * 10_000, 2_000))
        exchange.ts_us += 60 * USDC
        exchange.index(150)
        smile = exchange.engine.state.indexes["SOL"].smiles[1_774_598_400_000_000]
        assert smile.level_ppm == 800_000 + moved_ppm, kind


def test_margins_and_settlement_stay_with_the_index() -> None:
    exchange = OneMarket({"SOL-27MAR26": BASIS_PPM})
    book = exchange.engine.state.books[f"{NEAR}-160-C"]
    assert book.index_micros == 150 * USDC and book.mark_micros is not None
    # 7.5 % of the index and the mark, in thousandths of a micro.
    assert book.maintenance_nanos == 75 * 150 * USDC + 1_000 * book.mark_micros


@pytest.mark.parametrize(
    ("forwards", "sentence"),
    [
        (
            {"SOL-31FEB26": 1},
            "'SOL-31FEB26' names no expiration of an asset: expected ASSET-DMMMYY, for example SOL-27",
        ),
        ({"SOL": 1}, "'SOL' names no expiration"),
        ({"SOL-06MAR26": 1}, "'SOL-06MAR26' names no expiration"),
        ({"sol-6MAR26": 1}, "'sol-6MAR26' names no expiration"),
    ],
)
def test_a_forward_of_no_expiration_is_refused(forwards: dict[str, int], sentence: str) -> None:
    exchange = OneMarket({})
    assert sentence in str(validation_error(Rules(market=replace(MARKET, forwards=forwards))))
    assert exchange.change(forwards) == [Refused(None, Reason.INVALID_RULES)]


def test_a_forward_far_from_the_index_is_refused() -> None:
    exchange = OneMarket({})
    rules = Rules(market=replace(MARKET, forwards={"SOL-27MAR26": -10_000_000}))
    assert distance_error(rules, 2, START_US - 30 * US_PER_DAY) == (
        "market.forwards.SOL-27MAR26 makes the forward zero or negative: give a basis nearer to 0 than -10000000"
    )
    assert exchange.send(ChangeRules(rules)) == [Refused(None, Reason.INVALID_RULES)]
    assert "at most 200000 are possible" in str(distance_error(rules, 2, 1_774_598_400_000_000 - 10 * US_PER_DAY))
    assert distance_error(rules, 2, 1_774_598_400_000_000 - 7 * US_PER_DAY) is None, "near enough by then"
    assert distance_error(rules, 2, 1_774_598_400_000_000 + 1) is None, "the expiration is over"
    assert distance_error(rules, 1, START_US) is None


def test_forwards_need_version_2() -> None:
    rules = Rules(market=replace(MARKET, forwards={"SOL-27MAR26": 1}))
    assert validation_error(rules, 1) == "market.forwards needs rules version 2"
    assert validation_error(rules, 2) is None


@pytest.mark.parametrize(("value", "text"), [("15000", "1.5 % a year"), ("-250000", "-25 % a year"), ("-", "-")])
def test_a_basis_is_shown_in_percent(value: str, text: str) -> None:
    """A dash stands for a forward that was not there before a change, or is not there after it."""
    assert readable("market.forwards.SOL-27MAR26", value) == text


def test_forwards_are_set_one_by_one() -> None:
    rules = edited_rules(DEFAULT_RULES, ["market.forwards.SOL-27MAR26=15000", "market.forwards.BTC-24APR26=-2500"])
    assert flat_settings(rules)["market.forwards.SOL-27MAR26"] == "15000"
    assert edited_rules(rules, ["market.forwards={}"]).market == replace(MARKET_OF_DEFAULT, forwards={})
    with pytest.raises(RulesError, match="names no expiration of an asset"):
        edited_rules(rules, ["market.forwards.SOL-99MAR26=1"])
    with pytest.raises(RulesError, match=r"must be a whole number of at most 10000000"):
        edited_rules(rules, ["market.forwards.SOL-27MAR26=10000001"])


def test_the_first_rules_are_checked_at_the_time_of_the_clock(tmp_path: Path) -> None:
    """Dates of rules can be too late, and forwards too far, at the time at which the exchange begins."""
    path = tmp_path / "exchange.db"
    far = ("--set", "market.forwards.SOL-27MAR26=9000000")
    refused = complained(exchange("init", "--db", path, *far, "--clock-start", "2026-02-20T00:00:00Z"), 2)
    assert "market.forwards.SOL-27MAR26 puts the forward" in refused
    late = ("--series", "SOL:10", "--clock-start", "2098-12-30T09:00:00Z")
    assert "would list options that expire after 2098" in complained(exchange("init", "--db", path, *late), 2)
    assert not path.exists()
    assert exchange("init", "--db", path, *far, "--clock-start", "2026-03-26T00:00:00Z").exit_code == 0


def test_the_shell_shows_forwards(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    rules = replace(MARKET, forwards={"SOL-27MAR26": BASIS_PPM})
    steps: list[Command] = [Genesis(Rules(market=rules), 2), SetIndexPrice("SOL", 150 * USDC)]
    write_journal(path, [(START_US + n, command) for n, command in enumerate(steps)])
    text = said(exchange("ticker", "--asset", "SOL", "--db", path))
    assert "SOL 27MAR26, index 150.00, forward 157.260273" in text and "SOL 24APR26, index 150.00: " in text
    assert re.search(r"^forward +157\.260273", said(exchange("ticker", f"{NEAR}-150-C", "--db", path)), re.MULTILINE)


@pytest.mark.parametrize("basis_ppm", [BASIS_PPM, -BASIS_PPM])
def test_the_checks_of_a_journal_bound_marks_by_the_forward(tmp_path: Path, basis_ppm: int) -> None:
    path = tmp_path / "exchange.db"
    # Strikes far in the money, whose marks are beyond the bounds that the index gives.
    rules = replace(MARKET, series=(Series("SOL", 10, 7, dailies=1, weeklies=0, monthlies=3),))
    rules = replace(rules, forwards={"SOL-24APR26": basis_ppm})
    steps: list[Command] = [Genesis(Rules(market=rules), 2), SetIndexPrice("SOL", 150 * USDC)]
    write_journal(path, [(START_US + n, command) for n, command in enumerate(steps)])
    assert "ok      A mark price is at least" in said(exchange("journal", "check", "--db", path))


def test_rules_name_a_limited_number_of_forwards() -> None:
    forwards = json.dumps({f"A{number}-27MAR26": 1 for number in range(1_001)})
    with pytest.raises(RulesError, match="1000"):
        edited_rules(DEFAULT_RULES, [f"market.forwards={forwards}"])
