"""The formulas of docs/market.md, written again from that page alone: in fractions, rounded at the end."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from math import floor

from exchange.domain.enums import OptionType
from exchange.domain.instruments import InstrumentTerms, instrument_id_of, parse_instrument_id
from exchange.domain.rules import Band, Market, Rules, Series, Surface, market_of
from exchange.domain.smile import Point, Slice, Smile, SmileLimits, moved_smile

# Pairs of a time, and the price from then on.
IndexHistory = list[tuple[int, int]]


@cache
def cash_secured_margins(strike: int) -> tuple[Fraction, Fraction]:
    """Micros that one short contract locks without a market, and its maintenance margin."""
    return Fraction(strike), Fraction(0)


@cache
def initial_margin(option_type: OptionType, strike: int, index: int, mark: int) -> Fraction:
    """Return the initial margin of one short contract, in micros."""
    out_of_the_money = max(0, strike - index) if option_type == "call" else max(0, index - strike)
    margin = max(Fraction(15 * index, 100) - out_of_the_money, Fraction(10 * index, 100)) + mark
    return margin if option_type == "call" else max(margin, maintenance_margin(option_type, index, mark))


@cache
def maintenance_margin(option_type: OptionType, index: int, mark: int) -> Fraction:
    """Return the maintenance margin of one short contract, in micros."""
    of_index, of_mark = Fraction(75 * index, 1000), Fraction(75 * mark, 1000)
    return (of_index if option_type == "call" else max(of_index, of_mark)) + mark


def for_size(per_contract: Fraction, size: int) -> int:
    """Return the margin of `size` millicontracts, rounded up once."""
    return -(-per_contract.numerator * size // (per_contract.denominator * 1000))


def intrinsic_value(option_type: OptionType, strike: int, price: int) -> int:
    return max(0, price - strike) if option_type == "call" else max(0, strike - price)


def mark_price(
    terms: InstrumentTerms, index: int, bid: int | None, ask: int | None, last: int | None, spread_max_ppm: int
) -> int:
    intrinsic = intrinsic_value(terms.option_type, terms.strike_micros, index)
    if bid is not None and ask is not None and ask - bid <= index * spread_max_ppm // 1_000_000:
        mark = (bid + ask) // 2
    elif last is not None:
        mark = last
    else:
        mark = intrinsic
    return min(max(mark, intrinsic), index if terms.option_type == "call" else terms.strike_micros)


# The smile and Black-76 are the exchange's own functions: tests/test_surface.py compares them with floats. The naive
# exchange finds the quotes, and does the rest, by itself.


def configured_smile(surface: Surface, ts_us: int) -> Smile:
    return Smile(surface.level_ppm, surface.skew_ppm, surface.curvature_ppm, ts_us)


def forward_price(market: Market, terms: InstrumentTerms, index: int, ts_us: int) -> int:
    """Return the index and the basis of a year for the time left, at most a fifth of the index away."""
    forwards = market.forwards if isinstance(market.forwards, dict) else {}
    day = terms.instrument_id.split("-")[1]
    years = Fraction(terms.expiration_s * 1_000_000 - ts_us, 365 * 86_400 * 1_000_000)
    distance = floor(index * forwards.get(f"{terms.asset}-{day}", 0) * max(Fraction(0), years) / 1_000_000)
    return min(max(index + distance, index - index // 5), index + index // 5)


def forwards_of(rules: Rules, asset: str) -> dict[str, int]:
    market = market_of(rules)
    forwards = market.forwards if market is not None and isinstance(market.forwards, dict) else {}
    return {name: basis for name, basis in forwards.items() if name.startswith(f"{asset}-")}


def has_far_forward(rules: Rules, ts_us: int) -> bool:
    """True if the forward of an expiration is more than a fifth of the index away now."""
    market = market_of(rules)
    forwards = market.forwards if market is not None and isinstance(market.forwards, dict) else {}
    for name, basis in forwards.items():
        asset, day = name.split("-")
        left = parse_instrument_id(f"{asset}_USDC-{day}-1-C").expiration_s * 1_000_000 - ts_us
        if left > 0 and abs(floor(Fraction(basis * left, 365 * 86_400 * 1_000_000))) > 200_000:
            return True
    return False


def model_price(terms: InstrumentTerms, tick: int, forward: int, ts_us: int, smile: Smile) -> int:
    """Return the mark of an option by its smile, by put-call parity for a put."""
    value = Slice(smile, forward, terms.expiration_s * 1_000_000 - ts_us).call_micros(terms.strike_micros)
    if terms.option_type == "put":
        value += terms.strike_micros - forward
    value = floor(Fraction(value, tick) + Fraction(1, 2)) * tick
    highest = forward if terms.option_type == "call" else terms.strike_micros
    return min(max(value, intrinsic_value(terms.option_type, terms.strike_micros, forward)), highest)


def price_band(
    terms: InstrumentTerms, tick: int, forward: int, ts_us: int, smile: Smile, mark: int, band: Band
) -> tuple[int, int]:
    """Return the lowest and the highest price of an order."""
    at = Slice(smile, forward, terms.expiration_s * 1_000_000 - ts_us)
    width = forward * band.index_ppm // 1_000_000 + at.gamma_micros(terms.strike_micros, band.move_ppm)
    top = min(mark + width, forward if terms.option_type == "call" else terms.strike_micros)
    highest = max(tick, top // tick * tick)
    return min(highest, max(tick, -((width - mark) // tick) * tick)), highest


def fitted_smile(
    smile: Smile, surface: Surface, quotes: list[tuple[InstrumentTerms, int, int]], forward: int, ts_us: int
) -> Smile:
    """Return the smile after these quotes: terms, tick and mid of each option."""
    points = []
    for terms, tick, mid in quotes:
        right_type = "call" if terms.strike_micros >= forward else "put"
        at = Slice(smile, forward, terms.expiration_s * 1_000_000 - ts_us)
        vega = at.vega_micros(terms.strike_micros)
        if terms.option_type == right_type and vega >= 100 * tick:
            call = at.call_micros(terms.strike_micros)
            model = call if right_type == "call" else call + terms.strike_micros - forward
            points.append(Point(at.z_nano(terms.strike_micros), (mid - model) * 1_000_000 // vega))
    if len(points) < surface.quotes_min:
        points = []
    limits = SmileLimits(surface.level_min_ppm, surface.level_max_ppm, surface.move_ppm)
    return moved_smile(smile, points, configured_smile(surface, ts_us), limits, ts_us)


def delivery_price(history: IndexHistory, expiration_us: int, tick: int) -> int | None:
    """Return the average of the last half hour, rounded half up to the tick; None if the index came too late."""
    start = expiration_us - 30 * 60 * 1_000_000
    sum_of_all, time_of_all = 0, 0
    for n, (since, price) in enumerate(history):
        until = history[n + 1][0] if n + 1 < len(history) else expiration_us
        time = min(until, expiration_us) - max(since, start)
        if time > 0:
            sum_of_all += price * time
            time_of_all += time
    if time_of_all == 0:
        return None
    return floor(Fraction(sum_of_all, time_of_all * tick) + Fraction(1, 2)) * tick


def expires_on_friday(terms: InstrumentTerms) -> bool:
    return datetime.fromtimestamp(terms.expiration_s, UTC).weekday() == 4


def series_of_rule(rule: Series, ts_us: int, index: int) -> Iterator[str]:
    """Yield the ids of the options that the rule lists, in order of listing."""
    spacing = rule.strike_spacing_usdc
    middle = floor(Fraction(index, spacing * 1_000_000) + Fraction(1, 2))
    for expiration in expirations(rule, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts_us)):
        for n in range(middle - rule.strikes_each_side, middle + rule.strikes_each_side + 1):
            if 0 < n * spacing <= 10_000_000:
                for option_type in ("call", "put"):
                    yield instrument_id_of(rule.asset, int(expiration.timestamp()), n * spacing, option_type)


def is_too_late(terms: InstrumentTerms) -> bool:
    """True if an option expires after the last year that version 2 lists."""
    return datetime.fromtimestamp(terms.expiration_s, UTC).year > 2098


def lists_too_late(rules: Rules, ts_us: int) -> bool:
    market, now = market_of(rules), datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts_us)
    return market is not None and any(day.year > 2098 for rule in market.series for day in expirations(rule, now))


def expirations(rule: Series, now: datetime) -> list[datetime]:
    """Return the dates of the rule, found by a search through the days of the next two years."""
    today = now.replace(hour=8, minute=0, second=0, microsecond=0)
    days = [day for n in range(730) if (day := today + timedelta(days=n)) > now]
    fridays = [day for day in days if day.weekday() == 4]
    last_fridays = [day for day in fridays if (day + timedelta(days=7)).month != day.month]
    return sorted({*days[: rule.dailies], *fridays[: rule.weeklies], *last_fridays[: rule.monthlies]})
