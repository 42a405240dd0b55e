"""Failures of commands: JSON for programs with --json, and refusals in the words of the command line."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.cli.refusals import TRANSLATIONS, translated
from exchange.client import ExchangeError
from exchange.domain.reasons import REFUSALS, Reason
from exchange.projections.wire_types import Instrument
from tests.cli_support import CALL, complained, exchange
from tests.journals import play
from tests.test_cli_layout import COMMANDS

WITH_JSON = [path for path, command in COMMANDS.items() if any("--json" in param.opts for param in command.params)]


def _failure(*arguments: object, exit_code: int) -> Any:
    text = complained(exchange(*arguments), exit_code)
    assert text.count("\n") == 1
    failure = json.loads(text)
    assert set(failure) == {"code", "reason", "param", "exit_code", "message"}
    assert failure["exit_code"] == exit_code
    return failure


@pytest.mark.parametrize("path", WITH_JSON, ids=" ".join)
def test_wrong_usage_is_json_if_the_command_prints_json(path: tuple[str, ...]) -> None:
    failure = _failure(*path, "--json", "--nonsense", exit_code=2)
    assert (failure["reason"], failure["param"], failure["code"]) == ("wrong_usage", "--nonsense", None)


def test_a_wrong_argument_is_named() -> None:
    failure = _failure("order", "buy", CALL, "x", "1.50", "--user", "a", "--json", exit_code=2)
    assert failure["param"] == "SIZE"
    assert failure["message"].endswith("'x' is not a number; expected digits and a decimal point, such as 0.5")
    assert _failure("order", "list", "--user", "a b", "--json", exit_code=2)["param"] == "--user"


def test_failures_without_an_exchange_or_a_journal(tmp_path: Path) -> None:
    at = ("--db", tmp_path / "exchange.db", "--json")
    failure = _failure("order", "buy", CALL, 1, "1.50", "--user", "a", *at, exit_code=1)
    assert (failure["reason"], failure["code"]) == ("no_exchange", None)
    failure = _failure("account", "show", "a", *at, exit_code=1)
    assert failure["reason"] == "bad_journal" and "there is no journal at" in failure["message"]
    assert _failure("journal", "verify", *at, exit_code=2)["reason"] == "unreadable"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "reason", "param"),
    [
        ("diff {text} {journal}", 2, "unreadable", None),
        ("diff {journal} missing.db", 2, "wrong_usage", "B"),
        ("fork missing.db --at 900 --db {journal}", 2, "wrong_usage", "--json"),
        ("chart price --db {journal}", 2, "wrong_usage", "--json"),
        ("journal info --db {text}", 1, "bad_journal", None),
        ("journal tail --db missing.db", 1, "bad_journal", None),
        ("journal verify --until soon --db {journal}", 2, "wrong_usage", "--until"),
        ("journal verify --expect missing.json --db {journal}", 2, "unreadable", None),
        ("journal verify --public-key key --db {journal}", 2, "wrong_usage", "--public-key"),
        ("journal check --db {text}", 2, "unreadable", None),
        ("journal prove missing.json --db {journal}", 2, "bad_input", None),
        ("snapshot create --at 900 --db {journal}", 2, "wrong_usage", "--json"),
        ("snapshot verify --db {text}", 1, "bad_journal", None),
        ("snapshot list --db missing.db", 1, "bad_journal", None),
        ("sql 'SELEC 1' --db {journal}", 1, "failed", None),
        ("sql 'SELECT nothing' --db {journal}", 1, "failed", None),
        ("sql 'DELETE FROM commands' --db {journal}", 1, "failed", None),
        ("sql 'SELECT 1' --csv --db {journal}", 2, "wrong_usage", None),
        ("sql 'SELECT 1' --db {text}", 1, "bad_journal", None),
    ],
)
def test_failures_of_commands_that_read_files(
    arguments: str, exit_code: int, reason: str, param: str | None, files: dict[str, Path]
) -> None:
    failure = _failure(*shlex.split(arguments.format(**files)), "--json", exit_code=exit_code)
    assert (failure["reason"], failure["param"], failure["code"]) == (reason, param, None)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A journal, and a file that is none."""
    folder = tmp_path_factory.mktemp("failures")
    play(folder / "exchange.db", count=20)
    (folder / "text.db").write_text("no journal" * 500)
    return {"journal": folder / "exchange.db", "text": folder / "text.db"}


def test_an_argument_after_two_dashes_is_no_option(tmp_path: Path) -> None:
    text = complained(exchange("account", "show", "--db", tmp_path / "exchange.db", "--", "--json"))
    assert text.startswith("Error: there is no journal at ")


def _ask(method: str, **params: Any) -> Any:
    if method == "public/get_index_price":
        return {"asset": params["asset"], "price": 150_000_000}
    if method == "admin/get_accounts":
        return {"accounts": [{"user_id": "alice"}, {"user_id": "bob"}]}
    return [msgspec.to_builtins(Instrument(CALL, "SOL", "call", 150_000_000, 1_772_265_600, 10_000, 100))]


_PARAMS = {"instrument_id": CALL, "asset": "SOL", "user_id": "Alic"}


def _translated(reason: str, detail: str = "", **data: Any) -> ExchangeError:
    return translated(ExchangeError(1, "m", reason, detail, data), _PARAMS, _ask)


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_names_no_parameter_and_no_unit_of_the_wire(reason: Reason) -> None:
    refusal = REFUSALS[reason]
    detail = _translated(reason, refusal.detail).detail.replace("market.index_jump_max", "")
    assert re.search(r"[a-z]_[a-z]|micros|millicontracts|public/|private/|admin/|2\^53", detail) is None, detail
    assert "{" not in detail.replace("market={}", "")


def test_figures_behind_a_refusal() -> None:
    assert _translated(Reason.PRICE_OFF_TICK).detail.endswith("; the tick is 0.01 USDC")
    assert _translated(Reason.SIZE_BELOW_MINIMUM).detail == "the smallest order has 0.1 contracts"
    assert _translated(Reason.INDEX_JUMP).detail.endswith("use --force; the last price was 150.00")
    assert _translated(Reason.PRICE_OFF_TICK, param="price").data["param"] == "PRICE"
    assert "there is no account Alic; the nearest name is alice; " in _translated(Reason.UNKNOWN_USER).detail
    assert f"{CALL} is not listed; the nearest is {CALL}; " in _translated(Reason.INSTRUMENT_NOT_FOUND).detail
    keys = {"client_order_id": ("key", "--client-order-id"), "label": ("label", "--label")}
    for name, (word, option) in keys.items():
        params = {"order_id": None, "client_order_id": None, name: "mine"}
        unknown = translated(ExchangeError(1, "m", Reason.ORDER_NOT_FOUND, "", {}), params, _ask)
        assert unknown.detail.partition(";")[0] == f"the user has no order with this {word}"
        assert unknown.data["param"] == option


def test_other_errors_keep_their_text_with_the_names_of_options() -> None:
    error = _translated("invalid_params", "post_only needs time_in_force gtc", param="post_only")
    assert (error.detail, error.data["param"]) == ("--post-only needs --tif gtc", "--post-only")


def test_every_translation_belongs_to_a_reason() -> None:
    assert set(TRANSLATIONS) <= set(Reason)
