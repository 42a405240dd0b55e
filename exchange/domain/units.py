"""Units and limits of every number in the exchange. All amounts are integers, never floats.

price, strike, cash    micros of USDC          1_500_000 = 1.50 USDC
size, position         millicontracts          1_000     = 1 contract
time                   microseconds since the Unix epoch
"""

MICROS_PER_USDC = 1_000_000
MILLI_PER_CONTRACT = 1_000
PPM = 1_000_000

US_PER_SECOND = 1_000_000
US_PER_DAY = 86_400 * US_PER_SECOND
# The exchange day ends, and options expire, at 08:00 UTC.
DAY_END_US = 8 * 3_600 * US_PER_SECOND

# The largest number on the wire: JavaScript and SQLite's JSON functions read it exactly.
NUMBER_MAX = 2**53 - 1
# Every tick is a multiple of this step, so that costs are whole numbers.
PRICE_STEP_MICROS = 1_000
PRICE_MAX_MICROS = 10_000_000 * MICROS_PER_USDC
SIZE_MAX_MILLI = 1_000_000 * MILLI_PER_CONTRACT

# Of user names.
NAME_PATTERN = r"^[A-Za-z0-9_.@-]{1,64}\Z"
CLIENT_ORDER_ID_MAX = 64
LABEL_MAX = 64
# Of untriggered orders of one user in one instrument, and in all.
INSTRUMENT_TRIGGERS_MAX = 100
USER_TRIGGERS_MAX = 1_000
# Trigger orders that one command triggers at most.
TRIGGERED_MAX = 100
# Instruments in one mass quote, each with a bid and an ask.
QUOTES_MAX = 100
# Of one account, as on Deribit (https://docs.deribit.com/articles/mass-quotes-specifications).
MMP_GROUPS_MAX = 16
# The longest interval and the longest freeze of an MMP group, as on Deribit.
MMP_SECONDS_MAX = 3_600
RESERVED_USERS = ("admin", "fees", "insurance")
# The visible part of an iceberg order is at least this multiple of the smallest size of the instrument.
DISPLAY_MIN_SIZES = 100
# The hidden part is smaller than this multiple of the visible one.
HIDDEN_TIMES_VISIBLE_MAX = 100


def cost_micros(price_micros: int, size_milli: int) -> int:
    """Return the cost of `size_milli` at `price_micros`; exact, because prices are multiples of 1,000 micros."""
    return price_micros * size_milli // MILLI_PER_CONTRACT


def next_day_end_us(ts_us: int) -> int:
    """Return the first 08:00 UTC strictly after `ts_us`."""
    return ((ts_us - DAY_END_US) // US_PER_DAY + 1) * US_PER_DAY + DAY_END_US
