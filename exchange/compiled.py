"""Machine code: the modules that `make compile` compiles with mypyc, and whether this process runs them.

A compiled module lies next to its source, and Python prefers it. Both give the same results. If EXCHANGE_PURE=1 is
set, or if a source has changed since it was compiled, this process runs the source of all modules. `WHY_PURE` has the
reason.
"""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

# Classes that derive from msgspec.Struct cannot be compiled, so messages stay in modules that are not named here.
MODULES = (
    "exchange.domain.bands",
    "exchange.domain.black76",
    "exchange.domain.expirations",
    "exchange.domain.forwards",
    "exchange.domain.index_window",
    "exchange.domain.instruments",
    "exchange.domain.margin_rates",
    "exchange.domain.smile",
    "exchange.domain.units",
    "exchange.engine.digests",
    "exchange.gateway.deribit.dialect",
    "exchange.gateway.deribit.method_kinds",
    "exchange.gateway.deribit.trades",
    "exchange.gateway.deribit.trading",
    "exchange.gateway.deribit.units",
    "exchange.gateway.dialect",
    "exchange.gateway.jsonrpc",
    "exchange.gateway.measured_call",
    "exchange.gateway.quotas",
    "exchange.gateway.rate_limiter",
    "exchange.gateway.request_queue",
    "exchange.gateway.session",
    "exchange.gateway.session_channels",
    "exchange.gateway.socket_connection",
    "exchange.gateway.trading",
    "exchange.gateway.turns",
    "exchange.gateway.websocket",
    "exchange.history_db.account_rows",
    "exchange.history_db.link_rows",
    "exchange.history_db.market_rows",
    "exchange.history_db.memory",
    "exchange.history_db.new_rows",
    "exchange.history_db.order_rows",
    "exchange.history_db.payloads",
    "exchange.history_db.rows",
    "exchange.matching.accounts",
    "exchange.matching.administration",
    "exchange.matching.apply",
    "exchange.matching.apportion",
    "exchange.matching.book",
    "exchange.matching.cancellation",
    "exchange.matching.closed_orders",
    "exchange.matching.connections",
    "exchange.matching.dry_run",
    "exchange.matching.execution",
    "exchange.matching.fees",
    "exchange.matching.fills",
    "exchange.matching.index",
    "exchange.matching.index_update",
    "exchange.matching.insurance",
    "exchange.matching.linked_fills",
    "exchange.matching.linked_orders",
    "exchange.matching.linked_sweep",
    "exchange.matching.links",
    "exchange.matching.liquidation",
    "exchange.matching.listing",
    "exchange.matching.maker_protection",
    "exchange.matching.margin_profiles",
    "exchange.matching.mass_quotes",
    "exchange.matching.mmp_groups",
    "exchange.matching.order_changes",
    "exchange.matching.order_checks",
    "exchange.matching.order_lookup",
    "exchange.matching.orders",
    "exchange.matching.possible_fills",
    "exchange.matching.reduce_only",
    "exchange.matching.reducing_orders",
    "exchange.matching.reopening",
    "exchange.matching.secondary_orders",
    "exchange.matching.settlement",
    "exchange.matching.slices",
    "exchange.matching.state",
    "exchange.matching.state_codec",
    "exchange.matching.surface",
    "exchange.matching.trigger_changes",
    "exchange.matching.trigger_orders",
    "exchange.matching.triggering",
    "exchange.projections.balances",
    "exchange.projections.depth",
    "exchange.projections.fold",
    "exchange.projections.orders",
    "exchange.projections.rolling_statistics",
    "exchange.projections.tape",
)
# The name of the library that holds the code of all modules. mypyc appends `__mypyc`.
LIBRARY = "exchange.compiled"

_FOLDER = os.path.dirname(__file__)


class _SourceFinder(MetaPathFinder):
    """Finds the source of the exchange's modules, also of those that an earlier version compiled."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None or not fullname.startswith("exchange."):
            return None
        return FileFinder(path[0], (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(fullname)


def _why_pure() -> str | None:
    """Return why this process runs the Python source; None if it runs the compiled modules."""
    library = _path(f"{LIBRARY}__mypyc", EXTENSION_SUFFIXES[0])
    if not os.path.exists(library):
        return "not compiled"
    if os.environ.get("EXCHANGE_PURE", "") not in ("", "0"):
        return "EXCHANGE_PURE is set"
    # The files of an installed wheel never change, and their times say nothing.
    if os.path.exists(os.path.join(_FOLDER, os.pardir, "pyproject.toml")):
        compiled_s = os.path.getmtime(library)
        for module in ("exchange.compiled", *MODULES):
            if os.path.getmtime(_path(module, SOURCE_SUFFIXES[0])) > compiled_s:
                return f"{module} has changed since the modules were compiled"
    return None


def _path(module: str, suffix: str) -> str:
    return os.path.join(_FOLDER, *module.split(".")[1:]) + suffix


WHY_PURE = _why_pure()
if WHY_PURE not in (None, "not compiled"):
    sys.meta_path.insert(0, _SourceFinder())
