"""Margins of shorts, case by case, against figures computed by hand from docs/market.md, in USDC.

Each case consists of commands: a first trade if the case has one, then the index price, then a sale. What the seller
locks and must maintain is read from the events. Behind `#`: what decides, or both figures of one contract, unrounded.
"""

import pytest

from exchange.domain.commands import Command, CreateInstrument, Genesis, OpenAccount, PlaceOrder, SetIndexPrice
from exchange.domain.enums import OptionType, Side
from exchange.domain.events import INSTRUMENTS_MAX, BalanceChanged, Event, MarginsChanged, MarksSet, PositionChanged
from exchange.domain.instruments import instrument_id_of
from exchange.domain.rules import Market, Rules, Series
from exchange.matching.apply import apply
from exchange.matching.state import State
from tests.scenario import micros, milli

#      strike          index     last   size           mark      locked  maintained
CASES = """
call      150            150     5.50      1            5.5          28       16.75  # at the money
call      170            150     5.50      1            5.5        20.5       16.75  # 20.00 out: 15.00
call      150            150        -      1              0        22.5       11.25  # worth nothing
call      150            150     5.50      2            5.5          56        33.5  # two
call      150            150     5.50  0.001            5.5       0.028     0.01675  # the smallest size
call      140            150        -      1             10        32.5       21.25  # in the money
call      140            150    12.25      1          12.25       34.75        23.5  # in the money, with time value
call      150            180        -      1             30          57        43.5  # deep in the money
call       10            150        -      1            140       162.5      151.25  # nearly the index
call       10            150   149.99      1         149.99      172.49      161.24  # 172.49 and 161.24
call      155            150     3.10      1            3.1        20.6       14.35  # 5.00 out: 17.50
call      157            150     2.40      1            2.4        17.9       13.65  # 7.00 out: 15.50
call      158            150     2.20      1            2.2        17.2       13.45  # 8.00 out: 15.00, not 14.50
call      209            200     4.00      1              4          25          19  # 9.00 out: 21.00
call      210            200     4.00      1              4          24          19  # 10.00 out: both are 20.00
call      211            200     4.00      1              4          24          19  # 11.00 out: 20.00
call      300            150     0.01      1           0.01       15.01       11.26  # far out
call 10000000            150     0.01      1           0.01       15.01       11.26  # farthest
call      150     149.999999     5.50      1            5.5   27.999999       16.75  # a micro out
call      150     150.000001     5.50      1            5.5   28.000001   16.750001  # a micro in
call      150     150.000001        -  0.001       0.000001    0.022501    0.011251  # 22.50000115 and 11.250001075
call      150     149.999999     5.50  0.001            5.5       0.028     0.01675  # 27.99999885 and 16.749999925
call      150     149.999999     5.50  0.333            5.5       9.324     5.57775  # 27.99999885 and 16.749999925
call      170     149.999999     5.50  0.007            5.5      0.1435     0.11725  # 20.4999999 and 16.749999925
call      150     151.234567        -      1       1.234567   23.919753    12.57716  # 23.91975205 and 12.577159525
call      150     151.234567        -  0.999       1.234567   23.895833   12.564583  # 23.91975205 and 12.577159525
call      150     151.234567    1.235 12.345          1.235  295.294685   155.27038  # last above intrinsic
call        2            2.5        -   1000            0.5         875       687.5  # small index, large size
call        1       0.000001        -      1              0    0.000001    0.000001  # an index of one micro
call        1       0.000007        -  0.001              0    0.000001    0.000001  # 0.0000007 and 0.000000525
call   100000   98765.432101  1234.50    0.1         1234.5 1481.474692  864.190741  # a large index
call 10000000 9999999.999999     0.01  0.001           0.01  1500.00001   750.00001  # the largest
put       150            150     5.50      1            5.5          28       16.75  # at the money
put       130            150     5.50      1            5.5        20.5       16.75  # 20 out of the money
put       150            150        -      1              0        22.5       11.25  # 22.5 and 11.25
put       150            150     5.50      2            5.5          56        33.5  # 28 and 16.75
put       150            150     5.50  0.001            5.5       0.028     0.01675  # 28 and 16.75
put       160            150        -      1             10        32.5       21.25  # in the money
put       160            150    12.25      1          12.25       34.75        23.5  # 34.75 and 23.5
put       150            120        -      1             30          48          39  # deep in
put       145            150     3.10      1            3.1        20.6       14.35  # 5.00 out: 17.50
put       143            150     2.40      1            2.4        17.9       13.65  # 7.00 out
put       142            150     2.20      1            2.2        17.2       13.45  # 8.00 out
put       191            200     4.00      1              4          25          19  # 9 out
put       190            200     4.00      1              4          24          19  # both 20.00
put       189            200     4.00      1              4          24          19  # 24 and 19
put        10            150     0.01      1           0.01       15.01       11.26  # far out
put       150     150.000001     5.50      1            5.5          28   16.750001  # a micro out
put       150     149.999999     5.50      1            5.5          28       16.75  # a micro in
put       150     149.999999        -  0.001       0.000001    0.022501    0.011251  # 22.50000085 and 11.250000925
put       130     149.999999     5.50  0.333            5.5      6.8265     5.57775  # 20.4999999 and 16.749999925
put       150             75    75.00      1             75       86.25      80.625  # mark = index
put       150      74.999999        -      1      75.000001   86.250001   80.625002  # a mark above the index
put       150      75.000001    75.50      1           75.5   86.750001     81.1625  # 86.75000015 and 81.1625
put       150             50        -      1            100       107.5       107.5  # equal: 7.50
put       150      49.999999        -      1     100.000001  107.500002  107.500002  # what is maintained is more
put       150             40        -      1            110      118.25      118.25
put       150             40        -  0.001            110     0.11825     0.11825  # 118.25 and 118.25
put       150              1        -      3            149     480.525     480.525  # 160.175 and 160.175
put       150       0.000001        -      1     149.999999  161.249999  161.249999  # 161.249998925 and 161.249998925
put       150             40   150.00      1            150      161.25      161.25  # mark at the strike
put  10000000       0.000001        -  0.001 9999999.999999       10750       10750
put    100000   98765.432101 2345.675    0.1       2345.675 1716.048982  975.308241  # 17160.48981515 and 9753.082407575
put         3       2.718281     0.45  0.777           0.45    0.666466    0.508058  # 0.85774215 and 0.653871075
"""

# 2026-02-28 08:00 UTC.
EXPIRATION_S = 1_772_265_600
TICK_MICROS = 1_000


class Bench:
    """An exchange with one option, and the last balance and position of `seller` by events."""

    def __init__(self, option_type: OptionType, strike: str) -> None:
        self.state = State()
        self.ts_us = 1_772_000_000_000_000
        self.instrument_id = instrument_id_of("SOL", EXPIRATION_S, int(strike), option_type)
        self.marks: dict[str, int] = {}
        self.balance: BalanceChanged | None = None
        self.position: PositionChanged | None = None
        self.apply(Genesis(Rules(market=Market())))
        self.apply(CreateInstrument(self.instrument_id, TICK_MICROS, 1))
        for user_id in ("seller", "buyer", "other"):
            self.apply(OpenAccount(user_id, 3_000_000_000_000_000))

    def apply(self, command: Command) -> list[Event]:
        self.ts_us += 1
        events = apply(self.state, self.ts_us, command)
        self.state.check()
        for event in events:
            match event:
                case MarksSet():
                    self.marks |= event.marks
                case BalanceChanged(user_id="seller"):
                    self.balance = event
                case PositionChanged(user_id="seller"):
                    self.position = event
        return events

    def trade(self, seller: str, price_micros: int, size_milli: int) -> None:
        sides: list[tuple[str, Side]] = [(seller, "ask"), ("buyer", "bid")]
        for user_id, side in sides:
            self.apply(PlaceOrder(user_id, self.instrument_id, side, "limit", "gtc", price_micros, size_milli))


def read(table: str) -> list[tuple[str, ...]]:
    return [tuple(line.partition("#")[0].split()) for line in table.strip().splitlines()]


def test_there_are_sixty_cases() -> None:
    assert len(read(CASES)) >= 60
    assert len(set(read(CASES))) == len(read(CASES))


@pytest.mark.parametrize("case", read(CASES), ids=" ".join)
def test_margin(case: tuple[str, ...]) -> None:
    kind, strike, index, last, size, mark, locked, maintained = case
    bench = Bench("call" if kind == "call" else "put", strike)
    if last != "-":
        bench.trade("other", micros(last), 1)
    bench.apply(SetIndexPrice("SOL", micros(index)))
    assert bench.marks == {bench.instrument_id: micros(mark)}
    bench.trade("seller", TICK_MICROS, milli(size))
    assert bench.balance is not None and bench.position is not None
    assert bench.position.quantity_milli == -milli(size)
    assert bench.position.locked_micros == bench.balance.locked_micros == micros(locked)
    assert bench.balance.maintenance_micros == micros(maintained)


def test_changes_in_many_instruments_are_split_into_events() -> None:
    """No event holds more than INSTRUMENTS_MAX, and together they hold each instrument once, in order of listing."""
    state, ts_us = State(), 1_772_000_000_000_000
    series = Series("SOL", 10, strikes_each_side=5, dailies=2, weeklies=0, monthlies=0)
    apply(state, ts_us, Genesis(Rules(market=Market(series=(series,)))))
    apply(state, ts_us + 1, SetIndexPrice("SOL", micros("150")))
    apply(state, ts_us + 2, OpenAccount("maker", 3_000_000_000_000))
    for instrument_id in state.books:
        apply(state, ts_us + 3, PlaceOrder("maker", instrument_id, "ask", "limit", "gtc", micros("300"), 1_000))
    events = apply(state, ts_us + 4, SetIndexPrice("SOL", micros("151")))
    marks = [event.marks for event in events if isinstance(event, MarksSet)]
    margins = [event.locked_micros for event in events if isinstance(event, MarginsChanged)]
    for parts, told in ((marks, list(state.books)), (margins, list(state.books))):
        assert [len(part) for part in parts] == [INSTRUMENTS_MAX, INSTRUMENTS_MAX, 44 - 2 * INSTRUMENTS_MAX]
        assert [instrument_id for part in parts for instrument_id in part] == told
    positions = state.accounts["maker"].positions
    assert {key: locked for part in margins for key, locked in part.items()} == {
        instrument_id: position.collateral_micros for instrument_id, position in positions.items()
    }
