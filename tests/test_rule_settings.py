"""Rules as people write them: settings, files and series; and what is said where there can be no such rules."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.domain.rules import FEE_PROFILES, Fees, Market, Rules, Series, complete_rules
from exchange.runtime.rule_settings import (
    RulesError,
    edited_rules,
    flat_settings,
    parse_series,
    read_rules,
    with_series,
)
from exchange.runtime.server_settings import DEFAULT_RULES

SOL = Series("SOL", 10)
LISTING = Rules(market=Market(series=(SOL, Series("BTC", 1_000))))


@pytest.mark.parametrize(
    ("rules", "setting", "message"),
    [
        (Rules(), "fees", "expected NAME=VALUE with one of these names: self_trade_prevention, fees.maker_premium"),
        (Rules(), "fee=1", "finished_orders_kept, market$"),
        (Rules(), "fees.maker=1", "with one of these names"),
        (Rules(), "fees.maker_premium_ppm.x=1", "with one of these names"),
        (Rules(), "market.index_age_max_s=30", "with one of these names"),
        (Rules(), "fees.maker_premium_ppm=-1", "-1: fees.maker_premium_ppm must be a whole number of at least 0$"),
        (
            Rules(),
            "fees.maker_premium_ppm=1.5",
            "fees.maker_premium_ppm must be a whole number, not a number with decimals$",
        ),
        (
            Rules(),
            "fees=1/2/3",
            "'1/2/3' is not valid for fees: expected fees=MAKER/TAKER in parts per million, .* or fees=none or deribit",
        ),
        (Rules(), "fees=deribit", "'deribit' sets index fees, which need a market: add market={}"),
        (Rules(), 'fees={"maker":1}', "fees has unknown field 'maker'; the rules are self_trade_prevention, "),
        (Rules(), "self_trade_prevention=on", "self_trade_prevention must be cancel_resting or off, not 'on'$"),
        (Rules(), "open_orders_max=many", "open_orders_max must be a whole number, not a text$"),
        (DEFAULT_RULES, "market.fee=1", "market.series, market.fees.maker_ppm, .*, market.index_age_max_s"),
        (DEFAULT_RULES, "market.fees=dear", "'dear' is not a fee profile: expected none or deribit"),
        (DEFAULT_RULES, "market.series.SOL.dailies=1", "with one of these names"),
        (DEFAULT_RULES, "market=on", "market must be an object such as {}, not a text$"),
        (LISTING, "market.series.XRP.dailies=1", "market.series.SOL.strike_spacing_usdc"),
        (LISTING, "market.series.BTC.dailies=15", r"market.series\[1\].dailies must be a whole number of at most 14$"),
    ],
)
def test_invalid_settings(rules: Rules, setting: str, message: str) -> None:
    with pytest.raises(RulesError, match=f"--set .*{message}"):
        edited_rules(rules, [setting])


def test_settings_in_json() -> None:
    settings = ['fees={"taker_premium_ppm":5}', "fees.maker_premium_ppm=3", 'collateral="cash_secured"']
    assert edited_rules(Rules(), settings) == Rules(fees=Fees(3, 5), collateral="cash_secured")


def test_fees_have_names() -> None:
    assert edited_rules(DEFAULT_RULES, ["fees=100/200"]) == replace(DEFAULT_RULES, fees=Fees(100, 200))
    deribit = complete_rules(replace(DEFAULT_RULES, market=Market(fees=FEE_PROFILES["deribit"])))
    assert edited_rules(DEFAULT_RULES, ["fees=deribit"]) == deribit
    assert edited_rules(DEFAULT_RULES, ["market.fees=deribit"]) == deribit
    assert edited_rules(DEFAULT_RULES, ["fees=100/200", "fees=deribit"]) == deribit, "all fees are those of the profile"
    assert edited_rules(deribit, ["fees=none"]) == DEFAULT_RULES
    assert edited_rules(Rules(fees=Fees(1, 2)), ["fees=none"]) == Rules()


def test_a_market_is_set_and_left_out() -> None:
    assert edited_rules(Rules(), ["market={}", "market.index_age_max_s=30"]) == Rules(market=Market(index_age_max_s=30))
    assert edited_rules(LISTING, ["market=null"]) == Rules()


def test_one_setting_of_one_series() -> None:
    changed = edited_rules(LISTING, ["market.series.SOL.dailies=4"])
    assert changed.market == Market(series=(replace(SOL, dailies=4), Series("BTC", 1_000)))


def test_settings_that_contradict_each_other() -> None:
    settings = [f"market.series.SOL.{name}=0" for name in ("dailies", "weeklies", "monthlies")]
    with pytest.raises(RulesError, match="contradict themselves: the series rule of SOL has no expiration"):
        edited_rules(LISTING, settings)
    assert edited_rules(LISTING, [*settings, "market.series.SOL.weeklies=1"]) != LISTING


def test_every_flat_setting_can_be_set() -> None:
    written = edited_rules(LISTING, ["fees=deribit", "market.position_max_milli=5", "self_trade_prevention=off"])
    settings = [f"{name}={value}" for name, value in flat_settings(written).items()]
    assert edited_rules(LISTING, settings) == written


@pytest.mark.parametrize(
    ("text", "series"),
    [
        ("sol:10", SOL),
        ("BTC:1000:8", Series("BTC", 1_000, 8)),
        ("BTC:1000:8:5", Series("BTC", 1_000, 8, tick_micros=5_000_000)),
        ("SOL:10:5:0.005", Series("SOL", 10, tick_micros=5_000)),
    ],
)
def test_short_forms_of_series(text: str, series: Series) -> None:
    assert parse_series(text) == series


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SOL", "expected ASSET:SPACING"),
        ("SOL:ten", "expected ASSET:SPACING"),
        ("SOL:1:2:3:4", "expected ASSET:SPACING"),
        ("SOL:0", "strike_spacing_usdc must be a whole number of at least 1"),
        ("SOL:10:51", "strikes_each_side must be a whole number of at most 50"),
        ("SOL:10:5:0", "tick_micros must be a whole number of at least 1000"),
        ("SOL:10:5:x", "'x' is not a number"),
        ("S-L:10", "asset must be a text of up to 10 capital letters and digits, such as SOL"),
    ],
)
def test_invalid_series(text: str, message: str) -> None:
    with pytest.raises(RulesError) as caught:
        parse_series(text)
    assert str(caught.value).startswith(f"{text!r} is not a series rule: ") and message in str(caught.value)


def test_series_replace_those_of_their_asset() -> None:
    assert with_series(LISTING, [Series("SOL", 5)]).market == Market(series=(Series("BTC", 1_000), Series("SOL", 5)))
    with pytest.raises(RulesError, match="SOL has more than one series rule"):
        with_series(LISTING, [Series("SOL", 5), Series("SOL", 6)])
    with pytest.raises(RulesError, match=r"without a market cannot list series: add a market with --set market=\{\}"):
        with_series(Rules(), [SOL])


TOML = """
fees = "deribit"
starting_cash_micros = 50_000_000_000

[market]
index_age_max_s = 30

[[market.series]]
asset = "SOL"
strike_spacing_usdc = 10
"""


def test_a_file_in_toml_and_the_same_in_json(tmp_path: Path) -> None:
    file = tmp_path / "rules"
    file.write_text(TOML)
    market = Market(series=(SOL,), fees=FEE_PROFILES["deribit"], index_age_max_s=30)
    expected = Rules(starting_cash_micros=50_000_000_000, market=market)
    assert read_rules(file) == expected
    file.write_text(
        '{"fees":"deribit","starting_cash_micros":50000000000,'
        '"market":{"index_age_max_s":30,"series":[{"asset":"SOL","strike_spacing_usdc":10}]}}'
    )
    assert read_rules(file) == expected


@pytest.mark.parametrize(("text", "rules"), [("", DEFAULT_RULES), ('{"market":null}', Rules())])
def test_rules_that_a_file_does_not_name(text: str, rules: Rules, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(text)
    assert complete_rules(read_rules(file)) == rules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fees = ", "is neither TOML nor JSON: Invalid value (at "),
        ('{"fees":', "is neither TOML nor JSON: Input data was truncated"),
        ("[1]", "unknown field '1'; the rules are"),
        ("a = " + "[" * 5_000, "is neither TOML nor JSON"),
        ("index_age_max_s = 30", "unknown field 'index_age_max_s'; the rules are self_trade_prevention, "),
        ("market.index_age = 30", "market.index_age_max_s, "),
        ("market = 1", "market must be an object such as {}, not a whole number"),
        ("market.series = [1]", "market.series[0] must be an object such as {}, not a whole number"),
        ("market.index_jump_max = 1.5", "market.index_jump_max must be a whole number, not a number with decimals"),
        ("open_orders_max = 2026-02-20", "open_orders_max must be a whole number"),
        ('fees = "deribit"\nmarket.fees.taker_ppm = 1', "and market.fees set the same fees: remove one of them"),
        ("fees = 5", "fees must be an object such as {}, not a whole number"),
        (
            'market.series = [{asset = "SOL", strike_spacing_usdc = 10}, {asset = "SOL", strike_spacing_usdc = 5}]',
            "these rules contradict themselves: SOL has more than one series rule",
        ),
        (
            'market.series = [{asset = "SOL", strike_spacing_usdc = 10, dailies = 14, weeklies = 12, monthlies = 12, '
            "strikes_each_side = 50}]",
            "the series rule of SOL lists 7676 instruments, but at most 2000 are possible",
        ),
    ],
)
def test_files_with_invalid_rules(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(RulesError) as caught:
        read_rules(file)
    assert message in str(caught.value) and str(file) in str(caught.value)
