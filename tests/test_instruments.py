"""Instrument ids: both spellings of a day, months, leap years, and back again."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import msgspec
import pytest

from exchange.domain.commands import CreateInstrument, Genesis, decode_command, encode_command
from exchange.domain.enums import OptionType
from exchange.domain.events import InstrumentCreated, Refused
from exchange.domain.instruments import InstrumentTerms, instrument_id_of, parse_instrument_id
from exchange.domain.reasons import Reason
from exchange.domain.rules import Rules
from exchange.domain.units import PRICE_MAX_MICROS
from exchange.matching.apply import apply
from exchange.matching.state import State
from exchange.matching.state_codec import decode_state, encode_state


def seconds(year: int, month: int, day: int) -> int:
    """08:00 UTC of a day."""
    return int(datetime(year, month, day, 8, tzinfo=UTC).timestamp())


def test_the_example_of_the_protocol() -> None:
    assert parse_instrument_id("SOL_USDC-28FEB26-150-C") == InstrumentTerms(
        instrument_id="SOL_USDC-28FEB26-150-C",
        asset="SOL",
        option_type="call",
        strike_micros=150_000_000,
        expiration_s=1_772_265_600,
    )


def test_a_put() -> None:
    terms = parse_instrument_id("SOL_USDC-3MAR26-75-P")
    assert (terms.option_type, terms.strike_micros) == ("put", 75_000_000)
    assert terms.expiration_s == seconds(2026, 3, 3)


def test_a_leading_zero_is_parsed_and_never_written() -> None:
    assert parse_instrument_id("SOL_USDC-03MAR26-75-P") == parse_instrument_id("SOL_USDC-3MAR26-75-P")
    assert parse_instrument_id("SOL_USDC-03MAR26-75-P").instrument_id == "SOL_USDC-3MAR26-75-P"
    assert parse_instrument_id("SOL_USDC-30MAR26-75-P").instrument_id == "SOL_USDC-30MAR26-75-P"


@pytest.mark.parametrize(
    ("text", "year", "month", "day"),
    [
        ("29FEB28", 2028, 2, 29),
        ("29FEB00", 2000, 2, 29),
        ("1JAN00", 2000, 1, 1),
        ("31DEC99", 2099, 12, 31),
        ("30APR27", 2027, 4, 30),
        ("1MAR28", 2028, 3, 1),
    ],
)
def test_days_that_exist(text: str, year: int, month: int, day: int) -> None:
    assert parse_instrument_id(f"BTC_USDC-{text}-1-C").expiration_s == seconds(year, month, day)


@pytest.mark.parametrize("text", ["29FEB26", "30FEB28", "31APR26", "31NOV26", "32JAN26", "0JAN26", "00JAN26"])
def test_days_that_do_not_exist(text: str) -> None:
    with pytest.raises(ValueError, match="names a day that does not exist"):
        parse_instrument_id(f"BTC_USDC-{text}-1-C")


def test_months_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="has an unknown month 'MAI': expected one of JAN, FEB"):
        parse_instrument_id("BTC_USDC-1MAI26-1-C")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SOL-28FEB26-150-C",
        "SOL_USDT-28FEB26-150-C",
        "SOL_USDC-28FEB26-150",
        "SOL_USDC-28FEB26-150-X",
        "SOL_USDC-28FEB26-150-c",
        "sol_USDC-28FEB26-150-C",
        "SOL_USDC-28feb26-150-C",
        "1SOL_USDC-28FEB26-150-C",
        "ABCDEFGHIJK_USDC-28FEB26-150-C",
        "SOL_USDC-028FEB26-150-C",
        "SOL_USDC-FEB26-150-C",
        "SOL_USDC-28FEB2026-150-C",
        "SOL_USDC-28FEB6-150-C",
        "SOL_USDC-28FEB26-0-C",
        "SOL_USDC-28FEB26-0150-C",
        "SOL_USDC-28FEB26--150-C",
        "SOL_USDC-28FEB26-1.5-C",
        "SOL_USDC-28FEB26-1D5-C",
        "SOL_USDC-28FEB26-1d-C",
        "SOL_USDC-28FEB26-d5-C",
        "SOL_USDC-28FEB26-00d5-C",
        "SOL_USDC-28FEB26-0d0-C",
        "SOL_USDC-28FEB26-0d000-C",
        "SOL_USDC-28FEB26-0d0001-C",
        "SOL_USDC-28FEB26-1d5d5-C",
        "SOL_USDC-28FEB26-12345678901-C",
        " SOL_USDC-28FEB26-150-C",
        "SOL_USDC-28FEB26-150-C\n",
        "SOL_USDC-٢٨FEB26-150-C",
    ],
)
def test_invalid_instrument_ids(text: str) -> None:
    with pytest.raises(ValueError, match="is not an instrument id: expected ASSET_USDC-DMMMYY-STRIKE-C"):
        parse_instrument_id(text)


@pytest.mark.parametrize(
    ("text", "strike_micros", "canonical"),
    [
        ("0d625", 625_000, "0d625"),
        ("0d5", 500_000, "0d5"),
        ("0d50", 500_000, "0d5"),
        ("0d001", 1_000, "0d001"),
        ("12d340", 12_340_000, "12d34"),
        ("150d0", 150_000_000, "150"),
        ("9999999d999", 9_999_999_999_000, "9999999d999"),
    ],
)
def test_a_decimal_strike(text: str, strike_micros: int, canonical: str) -> None:
    terms = parse_instrument_id(f"XRP_USDC-28FEB26-{text}-P")
    assert (terms.strike_micros, terms.instrument_id) == (strike_micros, f"XRP_USDC-28FEB26-{canonical}-P")
    assert parse_instrument_id(terms.instrument_id) == terms


def test_only_a_command_that_allows_it_lists_a_decimal_strike() -> None:
    """Journals from before hold such commands without the field, and their refusals."""
    for instrument_id in ("XRP_USDC-28FEB30-0d625-C", "XRP_USDC-28FEB30-150d0-C"):
        state = State()
        apply(state, 1, Genesis(Rules()))
        old = decode_command(
            f'{{"kind":"create_instrument","instrument_id":"{instrument_id}","tick_micros":1000,"min_size_milli":1}}'
        )
        assert apply(state, 2, old) == [Refused(None, Reason.INVALID_TERMS)] and not state.books
        assert isinstance(old, CreateInstrument) and b"decimal" not in encode_command(old)
        (created, *_) = apply(state, 3, msgspec.structs.replace(old, decimal_strike=True))
        assert isinstance(created, InstrumentCreated)
        assert decode_state(encode_state(state)).books.keys() == state.books.keys() == {created.instrument_id}
        state.check()


def test_the_largest_strike() -> None:
    with pytest.raises(ValueError, match="has a strike that is too high"):
        parse_instrument_id("SOL_USDC-28FEB26-10000000d001-C")
    assert parse_instrument_id("SOL_USDC-28FEB26-10000000-C").strike_micros == PRICE_MAX_MICROS
    with pytest.raises(ValueError, match="has a strike that is too high: expected at most 10000000 USDC"):
        parse_instrument_id("SOL_USDC-28FEB26-10000001-C")


@pytest.mark.slow
def test_every_day_of_the_century_round_trip() -> None:
    day, end = date(2000, 1, 1), date(2100, 1, 1)
    while day < end:
        expiration_s = seconds(day.year, day.month, day.day)
        instrument_id = instrument_id_of("ETH", expiration_s, 4_000, "call")
        terms = parse_instrument_id(instrument_id)
        assert (terms.instrument_id, terms.expiration_s) == (instrument_id, expiration_s)
        day += timedelta(days=1)


def test_random_terms_round_trip() -> None:
    random = Random(1)
    option_types: tuple[OptionType, OptionType] = ("call", "put")
    for _ in range(500):
        asset, strike = random.choice(("SOL", "BTC", "A", "X9")), random.randint(1, 10_000_000)
        expiration_s = seconds(2020, 1, 1) + random.randrange(70 * 365) * 86_400
        option_type = random.choice(option_types)
        terms = parse_instrument_id(instrument_id_of(asset, expiration_s, strike, option_type))
        assert terms[1:] == (asset, option_type, strike * 1_000_000, expiration_s)


def test_any_second_of_the_day_names_the_same_id() -> None:
    midnight = seconds(2026, 2, 28) - 8 * 3_600
    ids = {instrument_id_of("SOL", midnight + second, 150, "call") for second in (0, 1, 28_800, 86_399)}
    assert ids == {"SOL_USDC-28FEB26-150-C"}
    assert instrument_id_of("SOL", midnight + 86_400, 150, "call") == "SOL_USDC-1MAR26-150-C"
