"""The kinds of events, and the reasons of changed balances, as the history stores them."""

from exchange.domain import events as e

# Numbers of the kinds of events. They are stored, so a new kind is added at the end.
EVENT_KINDS: tuple[type[e.Event], ...] = (
    e.OrderAccepted,
    e.OrderRepeated,
    e.OrderEdited,
    e.OrderCancelled,
    e.Traded,
    e.PositionChanged,
    e.MarginsChanged,
    e.BalanceChanged,
    e.MarksSet,
    e.IndexPriceSet,
    e.AllCancelled,
    e.Refused,
    e.Configured,
    e.SessionStarted,
    e.SessionEnded,
    e.Forked,
    e.AccountOpened,
    e.Deposited,
    e.Withdrawn,
    e.InstrumentCreated,
    e.InstrumentStateChanged,
    e.CancelOnDisconnectSet,
    e.DayEnded,
    e.LiquidationStarted,
    e.DeliveryPriceSet,
    e.SettlementDelayed,
    e.PositionSettled,
    e.ShortfallCovered,
    e.SeriesPaused,
    e.SeriesResumed,
    e.HaltSet,
    e.SuspensionSet,
    e.LimitsSet,
    e.RulesChanged,
    e.CommandLost,
    e.LiquidationFeeCharged,
    e.PositionTakenOver,
    e.DebtRepaid,
    e.LossShared,
    e.SurfaceSet,
    e.AccountReset,
    e.MarketReopening,
    e.PostOnlyBegan,
)
KIND_NUMBERS = {kind: number for number, kind in enumerate(EVENT_KINDS, 1)}
# The view `events` makes the JSON of these from the other tables; all others are stored as JSON.
WITHOUT_PAYLOAD: tuple[type[e.Event], ...] = (
    e.OrderAccepted,
    e.OrderRepeated,
    e.OrderEdited,
    e.OrderCancelled,
    e.Traded,
    e.PositionChanged,
    e.MarginsChanged,
    e.BalanceChanged,
    e.MarksSet,
    e.IndexPriceSet,
)
# Why balances change, by their numbers from 1 on. They are stored, so a new one is added at the end.
BALANCE_REASONS = (
    "opening",
    "deposit",
    "withdrawal",
    "order",
    "trade",
    "fee",
    "settlement",
    "shortfall",
    "liquidation",
    "margin",
    "reset",
)
REASON_NUMBERS = {name: number for number, name in enumerate(BALANCE_REASONS, 1)}
