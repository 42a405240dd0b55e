"""`Venue`: what a test of a bot does with its exchange."""

import asyncio
import contextlib
import importlib
import json
import shutil
import threading
from base64 import b64encode
from collections.abc import Awaitable, Callable
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from exchange.amounts import parse_contracts, parse_time_us, parse_usdc
from exchange.client import Client
from exchange.domain.instruments import parse_instrument_id
from exchange.domain.rules import Rules
from exchange.domain.units import MICROS_PER_USDC, US_PER_SECOND, next_day_end_us
from exchange.engine.recovery import recover
from exchange.gateway.chaos import Chaos, ChaosEntry, ChaosPlan, Fault
from exchange.gateway.deribit import API_PATH, WEBSOCKET_PATH
from exchange.keys.key import Key, new_key
from exchange.keys.key_file import change_keys
from exchange.projections.wire_types import AccountView, Instrument, OrderView, Ticker, Trade
from exchange.runtime.demo import DEMO_RULES
from exchange.runtime.node import open_journal
from exchange.runtime.server_settings import UNLIMITED, ServerSettings, admin_secret
from exchange.simulation.in_process import LocalClient, ManualClock
from exchange.simulation.simulate import DemoCrowd, SimulationPlan
from exchange.testing.served import ServedVenue, venue_folder

_T = TypeVar("_T")
_S = TypeVar("_S", Instrument, OrderView)
# An amount as people write it: 1.5 is exact as text or as a Decimal.
Amount = int | str | Decimal

START = "2026-03-02T09:00:00Z"
# The account that quotes for the test.
HOUSE = "house"
HOUSE_CASH_USDC = 1_000_000_000
# The crowd of demo bots acts once in so many microseconds of the venue's clock.
STEP_US = US_PER_SECOND
# The average before an expiration looks back for half an hour.
_BEFORE_DELIVERY_US = 31 * 60 * US_PER_SECOND
_HTTP_SECONDS = 30


class Venue:
    """A whole exchange that runs in a thread of this process, on a free port, with a clock that only the test moves.

    A bot connects to `url` (native), to `deribit_url` (Deribit's API over WebSocket) or to `http_url` (Deribit's API
    over HTTP), as any user and without a key. The test acts with the methods, which return when the exchange has
    recorded and applied what they did. Prices are in USDC and sizes in contracts, as int, text or Decimal, so that
    they are exact; floats are refused.

    - `rules`: those of the exchange; the demo's by default: options on SOL, BTC and ETH.
    - `start`: the time of the clock at the begin, ISO 8601 in UTC.
    - `seed`: of the crowd.
    - `crowd`: demo bots quote and trade while the clock advances.
    - `chaos`: faults on purpose.

    The journal is a file at `path` until the venue closes: the command line and SQL read it as any other.
    """

    def __init__(
        self,
        rules: Rules = DEMO_RULES,
        *,
        start: str = START,
        seed: int = 1,
        crowd: bool = False,
        chaos: ChaosPlan = ChaosPlan(),
    ) -> None:
        self._rules, self._start_us, self._seed = rules, parse_time_us(start), seed
        self._has_crowd, self._plan = crowd, chaos
        self._folder = Path(venue_folder())
        self._number = 0
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="venue", daemon=True)
        self._thread.start()
        self._is_open = False
        try:
            self._run(self._open())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop the exchange and delete its files."""
        if self._loop.is_closed():
            return
        if self._is_open:
            self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def reset(
        self,
        rules: Rules | None = None,
        *,
        start: str | None = None,
        seed: int | None = None,
        crowd: bool | None = None,
        chaos: ChaosPlan | None = None,
    ) -> None:
        """Begin again with a new exchange at the same URLs. All connections break. What is not given stays."""
        self._rules = self._rules if rules is None else rules
        self._start_us = self._start_us if start is None else parse_time_us(start)
        self._seed = self._seed if seed is None else seed
        self._has_crowd = self._has_crowd if crowd is None else crowd
        self._plan = self._plan if chaos is None else chaos
        self._run(self._reopen())

    # Where bots connect.

    @property
    def url(self) -> str:
        """The native API."""
        return f"ws://127.0.0.1:{self._port}/"

    @property
    def deribit_url(self) -> str:
        """Deribit's API over WebSocket."""
        return f"ws://127.0.0.1:{self._port}{WEBSOCKET_PATH}"

    @property
    def http_url(self) -> str:
        """Deribit's API over HTTP."""
        return f"http://127.0.0.1:{self._port}{API_PATH}"

    @property
    def path(self) -> Path:
        """The journal."""
        return self._exchange.path

    def client(self, user_id: str | None = None) -> Client:
        """A typed client of the native API, to use with `async with`. It is not connected yet."""
        return Client(self.url, user_id)

    def key(self, user_id: str) -> Key:
        """The key of a user, made when it is first asked for, for clients that sign their requests.

        From then on, other clients of the user need it, too.
        """
        return self._ask(lambda exchange: self._key_of(user_id))

    def ccxt(self, user_id: str, module: Any = None) -> Any:
        """A ccxt exchange that trades here with a key of the user. `module`: `ccxt` by default, or `ccxt.pro`."""
        library = importlib.import_module("ccxt") if module is None else module
        key = self.key(user_id)
        exchange = library.deribit({"apiKey": key.client_id, "secret": key.secret})
        exchange.urls["api"] = {"rest": self.http_url.removesuffix(API_PATH), "ws": self.deribit_url}
        return exchange

    # What a test asks and does as a user.

    def call(self, method: str, user_id: str | None = None, **params: Any) -> Any:
        """Call a method of the native API, as this user if it is private. Raises ExchangeError."""
        return msgspec.json.decode(self._run(self._call(method, user_id, params)))

    def deribit(self, method: str, user_id: str | None = None, **params: Any) -> Any:
        """Call a method of Deribit's API over HTTP, as this user if it is private. Returns the whole answer."""
        headers = {"Content-Type": "application/json"}
        if user_id is not None:
            key = self._ask(lambda exchange: self._keys.get(user_id))
            credentials = f"{user_id}:any" if key is None else f"{key.client_id}:{key.secret}"
            headers["Authorization"] = "Basic " + b64encode(credentials.encode()).decode()
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_HTTP_SECONDS)
        with contextlib.closing(connection):
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
            connection.request("POST", API_PATH, body, headers)
            return json.loads(connection.getresponse().read())

    def instruments(self, asset: str | None = None) -> list[Instrument]:
        """The instruments that have not expired, in order of listing."""
        return self._ask(lambda exchange: _copies(exchange.views.live_instruments(asset)))

    def ticker(self, instrument_id: str) -> Ticker:
        """Prices, volumes and Greeks of an instrument."""
        return self._ask(lambda exchange: exchange.views.ticker(instrument_id))

    def account(self, user_id: str) -> AccountView:
        """Cash, margins, positions and profits of a user."""
        return self._ask(lambda exchange: exchange.views.account(user_id))

    def open_orders(self, user_id: str, instrument_id: str | None = None) -> list[OrderView]:
        """The open and untriggered orders of a user, oldest first."""
        return self._ask(lambda exchange: _copies(exchange.views.open_orders(user_id, instrument_id)))

    def trades(self, instrument_id: str, count: int = 100) -> list[Trade]:
        """The newest trades of an instrument, newest first."""
        return self._ask(lambda exchange: exchange.views.trades(instrument_id, count))

    def commands(self) -> list[dict[str, Any]]:
        """All recorded commands, oldest first."""
        from exchange.journal.opening import open_journal_reader

        self._ask(lambda exchange: None)
        with open_journal_reader(self.path) as reader:
            return [json.loads(record.payload) for record in reader.records_where(1, 2**62)]

    # What a test does with the market.

    @property
    def now_us(self) -> int:
        """The time of the venue in microseconds since the epoch."""
        return self._ask(lambda exchange: exchange.now_us())

    def advance(self, seconds: float) -> None:
        """Let time pass: days end at 08:00 UTC and series settle, and the crowd acts, if there is one."""
        if seconds < 0:
            raise ValueError("time cannot go back: reset the venue")
        self._run(self._advance_to(self.now_us + round(seconds * US_PER_SECOND)))

    def set_index(self, asset: str, price: Amount) -> None:
        """Set the index price of an asset, however far it is from the last one."""
        self._administer("admin/set_index_price", asset=asset, price=micros_of(price), forced=True)

    def deposit(self, user_id: str, amount: Amount) -> None:
        """Pay cash into the account of a user, which is opened if there is none."""
        self._run(self._client_of(user_id))
        self._administer("admin/deposit", user_id=user_id, amount=micros_of(amount))

    def quote(
        self, instrument_id: str, bid: Amount | None = None, ask: Amount | None = None, size: Amount = 10
    ) -> None:
        """Let the house quote an instrument: its bid and its ask take the place of those before; None: no such side."""
        self._run(self._quote(instrument_id, bid, ask, milli_of(size)))

    def settle(self, instrument_id: str, price: Amount) -> None:
        """Advance to the expiration of an instrument, and let its series settle at this price of the index."""
        terms = parse_instrument_id(instrument_id)
        expiration_us = terms.expiration_s * US_PER_SECOND
        if expiration_us <= self.now_us:
            raise ValueError(f"{instrument_id} has expired already")
        self._run(self._advance_to(max(self.now_us, expiration_us - _BEFORE_DELIVERY_US)))
        self.set_index(terms.asset, price)
        self._run(self._advance_to(expiration_us))

    def check(self) -> None:
        """Check every invariant of the exchange. Raises AssertionError."""
        self._ask(lambda exchange: exchange.engine.state.check())

    # Faults on purpose.

    def fail_next(self, method: str, fault: Fault) -> None:
        """Let the next request for a method, by its name in either API, meet a fault."""
        self._ask(lambda exchange: self._chaos.planned[method].append(fault))

    @property
    def faults(self) -> list[ChaosEntry]:
        """The faults that clients met."""
        return self._ask(lambda exchange: list(self._chaos.log))

    def begin_maintenance(self, seconds: float = 3_600) -> None:
        """Close all connections, and refuse new ones for so many seconds of real time."""

        def begin(exchange: ServedVenue) -> None:
            self._chaos.begin_maintenance(seconds)
            exchange.close_connections()

        self._ask(begin)

    def end_maintenance(self) -> None:
        """Accept connections again."""
        self._ask(lambda exchange: self._chaos.end_maintenance())

    # In the venue's thread.

    def _run(self, work: Awaitable[_T]) -> _T:
        async def run() -> _T:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _ask(self, question: Callable[[ServedVenue], _T]) -> _T:
        async def ask() -> _T:
            return question(self._exchange)

        return self._run(ask())

    async def _open(self) -> None:
        self._number += 1
        path = self._folder / str(self._number) / "exchange.db"
        path.parent.mkdir()
        settings = ServerSettings(path, snapshot_every=0, limits=UNLIMITED, rules=self._rules)
        self._journal = await open_journal(settings, self._start_us)
        engine = recover(path, lambda _sentence: None, lambda _done, _total: None).engine
        self._clock = ManualClock(self._start_us)
        self._chaos = Chaos(self._plan)
        self._exchange = ServedVenue(settings, engine, self._journal, clock=self._clock)
        url = await self._exchange.open_at(self._port, self._chaos)
        self._port = int(url.rstrip("/").rsplit(":", 1)[1])
        self._is_open = True
        self._clients: dict[str, LocalClient] = {}
        self._keys: dict[str, Key] = {}
        self._crowd: DemoCrowd | None = None
        if self._has_crowd:
            plan = SimulationPlan(self._seed, self._start_us, 2**62, STEP_US)
            self._crowd = DemoCrowd(self._exchange, plan, admin_secret(path))
            await self._crowd.start()

    async def _close(self) -> None:
        self._is_open = False
        await self._exchange.end()
        await self._journal.close()

    async def _reopen(self) -> None:
        await self._close()
        await self._open()

    async def _client_of(self, user_id: str) -> LocalClient:
        """The session of a user within the exchange."""
        client = self._clients.get(user_id)
        if client is None:
            client = self._exchange.client()
            name, secret = user_id, admin_secret(self.path) if user_id == "admin" else None
            if user_id in self._keys:
                name, secret = self._keys[user_id].client_id, self._keys[user_id].secret
            await client.ask("public/auth", grant_type="client_credentials", client_id=name, client_secret=secret)
            self._clients[user_id] = client
        return client

    def _key_of(self, user_id: str) -> Key:
        key = self._keys.get(user_id)
        if key is None:
            key = self._keys[user_id] = new_key(user_id, "trade", self._clock.ts_us)
            change_keys(self.path, lambda keys: [*keys, key])
            self._exchange.credentials.refresh()
        return key

    async def _call(self, method: str, user_id: str | None, params: dict[str, Any]) -> bytes:
        client = self._exchange.client() if user_id is None else await self._client_of(user_id)
        return await client.ask(method, **params)

    def _administer(self, method: str, **params: Any) -> None:
        self._run(self._call(method, "admin", params))

    async def _advance_to(self, ts_us: int) -> None:
        now_us = self._clock.ts_us
        while now_us < ts_us:
            now_us = min(ts_us, next_day_end_us(now_us), now_us + STEP_US if self._crowd else ts_us)
            await self._exchange.advance_to(now_us)
            if self._crowd is not None:
                await self._crowd.step(now_us)

    async def _quote(self, instrument_id: str, bid: Amount | None, ask: Amount | None, size_milli: int) -> None:
        if HOUSE not in self._clients:
            await self._client_of(HOUSE)
            amount = HOUSE_CASH_USDC * MICROS_PER_USDC
            await self._call("admin/deposit", "admin", {"user_id": HOUSE, "amount": amount})
        house = await self._client_of(HOUSE)
        await house.ask("private/cancel_all", instrument_id=instrument_id)
        for method, price in (("private/buy", bid), ("private/sell", ask)):
            if price is not None:
                await house.ask(
                    method,
                    instrument_id=instrument_id,
                    price=micros_of(price),
                    amount=size_milli,
                    post_only=True,
                    reject_post_only=True,
                )


def _copies(shown: list[_S]) -> list[_S]:
    """Copies of objects that the next command would change in place."""
    return [msgspec.structs.replace(one) for one in shown]


def micros_of(amount: Amount) -> int:
    """Micros of an amount of USDC. Raises ValueError if it is not exact, and TypeError for a float."""
    return parse_usdc(_text_of(amount))


def milli_of(amount: Amount) -> int:
    """Millicontracts of a size. Raises ValueError if it is not exact, and TypeError for a float."""
    return parse_contracts(_text_of(amount))


def _text_of(amount: Amount) -> str:
    if isinstance(amount, float):
        raise TypeError(f"{amount} is a float, which is not exact: write '{amount}' or Decimal('{amount}')")
    return f"{amount:f}" if isinstance(amount, Decimal) else str(amount)
