"""The rules of an exchange. The genesis command and every change of rules record all of them, for replays.

Without a `market`, an exchange only matches orders: its series expire unsettled, and a short locks its strike. Journals
older than the market have such rules.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from exchange.domain.instruments import ASSET_PATTERN, parse_series_name
from exchange.domain.smile import CURVATURE_MAX_PPM, CURVATURE_MIN_PPM, SKEW_MAX_PPM, sound_curvature_ppm
from exchange.domain.units import MICROS_PER_USDC, NUMBER_MAX, PPM, PRICE_MAX_MICROS, PRICE_STEP_MICROS, SIZE_MAX_MILLI

# Version 1: marks follow the quotes and trades of each option, and any price is accepted.
FIRST_RULES_VERSION = 1
# Version 2: a fair market. docs/market.md has the differences.
FAIR_MARKET_VERSION = 2
# The version of new journals. Older journals keep theirs until the administrator changes it.
RULES_VERSION = FAIR_MARKET_VERSION

Ppm = Annotated[int, Meta(ge=0, le=PPM)]
Count = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
# Assets with a series rule.
SERIES_MAX = 20
# Instruments that the series rule of one asset may list at once.
LISTED_MAX = 2_000


class Fees(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fees of each side of a trade on the premium, rounded down."""

    maker_premium_ppm: Ppm = 0
    taker_premium_ppm: Ppm = 0


class IndexFees(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fees as a share of the index price, each with a maximum. All are rounded down.

    `maker_ppm`, `taker_ppm`: fee of each side of a trade, a share of the index price times size; at most `cap_ppm` of
    the premium. `delivery_ppm`: fee of an account that receives a payout, a share of the delivery price times size; at
    most `delivery_cap_ppm` of the payout. `daily_delivery_ppm`: the same for an option that does not expire on a
    Friday; missing: `delivery_ppm`. `liquidation_ppm`: fee of a liquidated account, in addition to the others, a share
    of the index price times size that goes to the insurance; at most `cap_ppm` of the premium; missing: 0.
    """

    maker_ppm: Ppm = 0
    taker_ppm: Ppm = 0
    cap_ppm: Ppm = 125_000
    delivery_ppm: Ppm = 0
    delivery_cap_ppm: Ppm = 125_000
    daily_delivery_ppm: Ppm | UnsetType = UNSET
    liquidation_ppm: Ppm | UnsetType = UNSET


# Fees of Deribit, by its page "Fees" (https://support.deribit.com/hc/en-us/articles/25944746248989-Fees) of 2025-11:
# linear USDC options 0.01 % for makers and 0.05 % for takers, BTC and ETH options 0.03 % for both, each at most 12.5 %
# of the premium. Delivery 0.015 %, at most 12.5 % of the value; daily options none. A liquidation pays 0.16 % more, to
# the insurance fund.
FEE_PROFILES = {
    "none": IndexFees(),
    # The trade fees of BTC and ETH options, without the later two.
    "deribit": IndexFees(maker_ppm=300, taker_ppm=300, delivery_ppm=150),
    "deribit_usdc": IndexFees(100, 500, delivery_ppm=150, daily_delivery_ppm=0, liquidation_ppm=1_600),
    "deribit_inverse": IndexFees(300, 300, delivery_ppm=150, daily_delivery_ppm=0, liquidation_ppm=1_600),
}


class LiquidationRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How accounts below their maintenance margin are liquidated in slices, from rules version 2 on.

    `limit_ppm`: share of the index price; slices trade at no price further from the mark. Version 1 has
    `Market.liquidation_limit_ppm` in its place. `cushion_ppm`: slices end when the cash exceeds the maintenance margin
    by this share of it. `takeover_after`: the insurance takes over positions with this index price in a row that finds
    the account below its maintenance margin; 0: never. `insurance_floor_micros`: cash of the insurance below which it
    pays for no account; negative: its debt.
    """

    limit_ppm: Ppm = 50_000
    cushion_ppm: Ppm = 20_000
    takeover_after: Annotated[int, Meta(ge=0, le=1_000_000)] = 10
    insurance_floor_micros: Annotated[int, Meta(ge=-NUMBER_MAX, le=NUMBER_MAX)] = 0


class SettlementRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How series settle and how the market reopens, from rules version 2 on.

    `price_age_max_s`: a series whose newest index price is older than this at its expiration waits for the
    administrator's delivery price; 0: any age will do. `post_only_s`: after a halt or a crash, orders can only be
    cancelled until the next index price, and then only post-only orders are accepted for so long; 0: the market reopens
    at once. `settled_kept_days`: a settled series is delisted at the first end of a day that comes so long after its
    expiration; missing: it stays listed.
    """

    price_age_max_s: Count = 0
    post_only_s: Annotated[int, Meta(ge=0, le=86_400)] = 0
    settled_kept_days: Annotated[int, Meta(ge=1, le=36_500)] | UnsetType = UNSET


# The rules of settlement of a new exchange. Without settled_kept_days, an older one keeps all series for ever.
NEW_SETTLEMENT = SettlementRules(settled_kept_days=30)


class Surface(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The volatility surface that marks follow under rules version 2. Without quotes each expiration has this smile.

    `level_ppm`: volatility at the money, a year, in millionths; quotes can move it from `level_min_ppm` to
    `level_max_ppm`. `skew_ppm`, `curvature_ppm`: the other parameters of a smile. `move_ppm`: the largest move of a
    parameter in a minute (10,000: one volatility point). `quote_size_min_milli`: the size of a bid and of an ask that
    count. `quotes_min`: the number of strikes of an expiration that must have such quotes.
    """

    level_ppm: Annotated[int, Meta(ge=10_000, le=5_000_000)] = 800_000
    skew_ppm: Annotated[int, Meta(ge=-SKEW_MAX_PPM, le=SKEW_MAX_PPM)] = -100_000
    curvature_ppm: Annotated[int, Meta(ge=CURVATURE_MIN_PPM, le=CURVATURE_MAX_PPM)] = 700_000
    level_min_ppm: Annotated[int, Meta(ge=10_000, le=5_000_000)] = 100_000
    level_max_ppm: Annotated[int, Meta(ge=10_000, le=5_000_000)] = 3_000_000
    move_ppm: Annotated[int, Meta(ge=0, le=PPM)] = 10_000
    quote_size_min_milli: Annotated[int, Meta(ge=1, le=SIZE_MAX_MILLI)] = 1_000
    quotes_min: Annotated[int, Meta(ge=1, le=1_000)] = 3


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far from the mark an order's price may be, from rules version 2 on; no band: as far as it likes.

    `index_ppm`: a share of the index price. `move_ppm`: a move of the index; its gamma, which is largest at the money
    near the expiration, widens the band.
    """

    index_ppm: Ppm = 50_000
    move_ppm: Ppm = 100_000


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A series rule: the options on one asset that the exchange lists by itself.

    For each expiration, at 08:00 UTC, it lists the strike nearest to the index price and `strikes_each_side` above and
    below it. The expirations are the next days, the next Fridays and the next last Fridays of a month.
    """

    asset: Annotated[str, Meta(pattern=rf"^{ASSET_PATTERN}\Z")]
    strike_spacing_usdc: Annotated[int, Meta(ge=1, le=PRICE_MAX_MICROS // MICROS_PER_USDC)]
    strikes_each_side: Annotated[int, Meta(ge=0, le=50)] = 5
    tick_micros: Annotated[int, Meta(ge=PRICE_STEP_MICROS, le=PRICE_MAX_MICROS)] = 10_000
    min_size_milli: Annotated[int, Meta(ge=1, le=SIZE_MAX_MILLI)] = 100
    dailies: Annotated[int, Meta(ge=0, le=14)] = 2
    weeklies: Annotated[int, Meta(ge=0, le=12)] = 2
    monthlies: Annotated[int, Meta(ge=0, le=12)] = 1
    surface: Surface | UnsetType = UNSET
    band: Band | UnsetType | None = UNSET


class Market(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rules of an options market: series rules, index prices, margins, liquidation and settlement.

    `index_age_max_s`: maximum age of the index price for a sale that needs collateral; 0: no limit.
    `index_jump_max`: maximum factor between an index price and the one before; 0: no limit.
    `mark_spread_max_ppm`: share of the index price; a book with a wider spread does not make the mark price.
    `liquidation_limit_ppm`: share of the index price by which a liquidation may buy above the mark price.
    `position_max_milli`: maximum position of one user in one instrument, open orders included; 0: no limit.
    `liquidation`, `settlement`: rules that version 1 does not have; missing: their defaults.
    `surface`, `band`: those of assets whose series rule has none; missing: the default. A band of null: no band.
    `forwards`: the distance of the forward from the index, a share of the index in millionths a year, by asset and
    expiration, such as SOL-27MAR26; missing: the forward is the index.
    """

    series: tuple[Series, ...] = ()
    fees: IndexFees = IndexFees()
    index_age_max_s: Count = 60
    index_jump_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 2
    mark_spread_max_ppm: Ppm = 20_000
    liquidation_limit_ppm: Ppm = 20_000
    position_max_milli: Count = 0
    liquidation: LiquidationRules | UnsetType = UNSET
    settlement: SettlementRules | UnsetType = UNSET
    surface: Surface | UnsetType = UNSET
    band: Band | UnsetType | None = UNSET
    forwards: (
        Annotated[dict[str, Annotated[int, Meta(ge=-10 * PPM, le=10 * PPM)]], Meta(max_length=1_000)] | UnsetType
    ) = UNSET


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rules of an exchange. `*_max` and `*_kept` are for each user.

    `collateral`: the lock of a short contract. `cash_secured`: its strike. `standard`: a margin that follows the index
    price, and the strike while the asset has no index price.
    """

    self_trade_prevention: Literal["cancel_resting", "off"] = "cancel_resting"
    fees: Fees = Fees()
    collateral: Literal["cash_secured", "standard"] = "standard"
    starting_cash_micros: Count = 10_000_000_000
    open_orders_max: Count = 10_000
    finished_orders_kept: Count = 10_000
    market: Market | UnsetType = UNSET


def market_of(rules: Rules) -> Market | None:
    """Return the market of these rules, None if they have none."""
    return rules.market if isinstance(rules.market, Market) else None


def liquidation_rules_of(rules: Rules) -> LiquidationRules:
    """Return the rules of liquidation; their defaults if these rules have none."""
    market = market_of(rules)
    if market is None or market.liquidation is UNSET:
        return LiquidationRules()
    return market.liquidation


def settlement_rules_of(rules: Rules) -> SettlementRules:
    """Return the rules of settlement; their defaults if these rules have none."""
    market = market_of(rules)
    if market is None or market.settlement is UNSET:
        return SettlementRules()
    return market.settlement


def surface_of(market: Market, asset: str) -> Surface:
    """Return the surface of an asset: that of its series rule, else that of the market, else the default."""
    for series in market.series:
        if series.asset == asset and isinstance(series.surface, Surface):
            return series.surface
    return market.surface if isinstance(market.surface, Surface) else Surface()


def band_of(market: Market, asset: str) -> Band | None:
    """Return the band of an asset: that of its series rule, else that of the market, else the default."""
    for series in market.series:
        if series.asset == asset and series.band is not UNSET:
            return series.band
    return Band() if market.band is UNSET else market.band


def complete_rules(rules: Rules) -> Rules:
    """Return these rules with the defaults of the newest version in every rule that is missing."""
    market = market_of(rules)
    if market is None:
        return rules
    liquidation = LiquidationRules() if market.liquidation is UNSET else market.liquidation
    settlement = NEW_SETTLEMENT if market.settlement is UNSET else market.settlement
    surface = Surface() if market.surface is UNSET else market.surface
    band = Band() if market.band is UNSET else market.band
    parts = {"liquidation": liquidation, "settlement": settlement, "surface": surface, "band": band}
    return replace(rules, market=replace(market, **parts))


def version_error(before: int, after: int) -> str | None:
    """Return why the version of the rules cannot change from `before` to `after`, as a sentence; None if it can."""
    if after > RULES_VERSION:
        return f"rules version {after} is not known: this program knows versions up to {RULES_VERSION}"
    if after < before:
        return f"the rules have version {before}, and cannot go back to version {after}"
    return None


def floor_error(before: Rules, after: Rules, insurance_micros: int) -> str | None:
    """Return why the floor of the insurance cannot change so, as a sentence; None if it can.

    A floor above the cash of the insurance would let winners pay for losses that the insurance can pay.
    """
    old, new = (liquidation_rules_of(rules).insurance_floor_micros for rules in (before, after))
    if not max(old, insurance_micros) < new:
        return None
    return (
        f"market.liquidation.insurance_floor_micros is {new}, above the cash of the insurance of {insurance_micros}: "
        "deposit to insurance first, or choose a lower floor"
    )


def _rules_of_version_2(market: Market) -> str | None:
    """Return the name of the first rule that version 1 does not have; None if there is none."""
    named = {
        "market.liquidation": market.liquidation,
        "market.settlement": market.settlement,
        "market.surface": market.surface,
        "market.band": market.band,
        "market.forwards": market.forwards,
        **{f"market.series.{series.asset}.band": series.band for series in market.series},
        **{f"market.series.{series.asset}.surface": series.surface for series in market.series},
        "market.fees.daily_delivery_ppm": market.fees.daily_delivery_ppm,
        "market.fees.liquidation_ppm": market.fees.liquidation_ppm,
    }
    return next((name for name, value in named.items() if value is not UNSET), None)


def validation_error(rules: Rules, rules_version: int = RULES_VERSION) -> str | None:
    """Return the first contradiction in rules of this version as a sentence; None if they are valid."""
    market = market_of(rules)
    if market is None:
        return None
    if rules_version < FAIR_MARKET_VERSION and (new := _rules_of_version_2(market)):
        return f"{new} needs rules version {FAIR_MARKET_VERSION}"
    if sentence := _surface_error(market) or _band_error(market) or _forwards_error(market):
        return sentence
    if len(market.series) > SERIES_MAX:
        return f"{len(market.series)} assets have a series rule, but at most {SERIES_MAX} may"
    highest_ppm = max(rules.fees.maker_premium_ppm, rules.fees.taker_premium_ppm)
    if (market.fees.maker_ppm or market.fees.taker_ppm) and highest_ppm + market.fees.cap_ppm > PPM:
        return f"fees could exceed the premium: {highest_ppm} ppm of it, and {market.fees.cap_ppm} ppm by the index"
    assets = [series.asset for series in market.series]
    for asset in assets:
        if assets.count(asset) > 1:
            return f"{asset} has more than one series rule"
    for series in market.series:
        if series.tick_micros % PRICE_STEP_MICROS:
            return (
                f"the tick of {series.asset} must be a multiple of {PRICE_STEP_MICROS} micros, not {series.tick_micros}"
            )
        expirations = series.dailies + series.weeklies + series.monthlies
        if not expirations:
            return f"the series rule of {series.asset} has no expiration: give it dailies, weeklies or monthlies"
        listed = expirations * (2 * series.strikes_each_side + 1) * 2
        if listed > LISTED_MAX:
            return (
                f"the series rule of {series.asset} lists {listed} instruments, but at most {LISTED_MAX} are possible"
            )
    return None


def _surface_error(market: Market) -> str | None:
    """Return why a surface is not sound, as a sentence; None if all are."""
    named = [("market.surface", market.surface)]
    named += [(f"market.series.{series.asset}.surface", series.surface) for series in market.series]
    for name, surface in named:
        if not isinstance(surface, Surface):
            continue
        if not surface.level_min_ppm <= surface.level_ppm <= surface.level_max_ppm:
            return (
                f"{name}.level_ppm must lie between level_min_ppm and level_max_ppm, not {surface.level_ppm} between "
                f"{surface.level_min_ppm} and {surface.level_max_ppm}"
            )
        highest_ppm = sound_curvature_ppm(surface.curvature_ppm, surface.skew_ppm, 0)
        if surface.curvature_ppm > highest_ppm:
            return (
                f"{name} allows arbitrage: with a skew_ppm of {surface.skew_ppm}, curvature_ppm may be at most "
                f"{highest_ppm}, not {surface.curvature_ppm}"
            )
    return None


def _forwards_error(market: Market) -> str | None:
    """Return which forward belongs to no expiration, as a sentence; None if all do."""
    for name in market.forwards if isinstance(market.forwards, dict) else ():
        try:
            parse_series_name(name)
        except ValueError as error:
            return f"market.forwards: {error}"
    return None


def _band_error(market: Market) -> str | None:
    """Return which band allows no price, as a sentence; None if none does."""
    named = [("market.band", market.band)]
    named += [(f"market.series.{series.asset}.band", series.band) for series in market.series]
    for name, band in named:
        if isinstance(band, Band) and not band.index_ppm and not band.move_ppm:
            return f"{name} allows no price but the mark: give index_ppm or move_ppm, or null for no band"
    return None
