"""Every limit of the gateway, in one place. The limits of catch-ups are in `catch_up/limits.py`.

The operator may change those in `GatewayLimits` (`exchange serve --limits FILE`). The others belong to the protocol, or
to the way in which the exchange shares its time.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

# Bytes of one message with all its fragments. A longer message closes the connection (1009).
FRAME_MAX = 64 * 1024
FRAGMENTS_MAX = 1_024

# Of one request.
# Characters of an id.
ID_MAX = 128
BATCH_MAX = 100
CHANNELS_PER_CALL_MAX = 500
BOOK_DEPTH_MAX = 100
# Characters. No asset has more than 10, no instrument id more than 36.
ASSET_MAX = 32
INSTRUMENT_ID_MAX = 64
# Entries of one page of a history. A page of settlements may be longer if one command caused more.
COUNT_MAX = 1_000
SETTLEMENTS_MAX = 100
# Positions in one simulation.
SIMULATED_MAX = 200
# Of one what-if: orders left out, rules, and points of index paths.
WHAT_IF_ORDERS_MAX = 100
WHAT_IF_RULES_MAX = 20
WHAT_IF_POINTS_MAX = 1_000
# Flat candles in one message of a channel, after a time without commands.
FLAT_CANDLES_MAX = 100

# Of one connection.
# Unanswered requests. The server reads no further until some are answered. Each takes about 1 KiB, and those of clients
# that are gone are commands too: 50 clients leave at most two seconds of work behind.
IN_FLIGHT_MAX = 200
# Bytes of messages since the last write. No more requests start until they are written.
UNSENT_MAX = 1024 * 1024
# Bytes that the client has not read. More than that closes the connection.
OUTBOX_MAX = 32 * 1024 * 1024
# Work for one connection before other connections have their turn, and work for all of them before the sockets are read
# and commands are answered.
TURN_SECONDS = 0.0002
PASS_SECONDS = 0.002
# Bytes of one connection that are decoded before the time is checked.
SLICE_BYTES = 512
# After this many refusals because of a rate in one turn, a connection rests, and longer after each such turn.
REFUSALS_PER_TURN = 20
REST_SECONDS_MIN, REST_SECONDS_MAX = 0.02, 1.0
REST_WORK_SECONDS = 0.05
# Bytes of one connection that wait for its turn. The server reads no further until they are fewer.
UNREAD_MAX = 64 * 1024
# Bytes that are read and ignored after a client broke the protocol. With more, it is not read until it is closed.
IGNORED_MAX = 1024 * 1024
# The work that a command causes later, when it is recorded and applied.
COMMAND_SECONDS = 0.00005
# If this many commands wait for the journal, connections with more unanswered requests than this wait.
CROWDED_QUEUE = 64
CROWDED_UNANSWERED = 2
# While two batches, one being answered and one being written, have so many commands, the messages of books and tickers
# may take this share of the CPU time, if there are more than a few.
BUSY_COMMANDS = 16
FAN_OUT_SHARE = 0.1
FEW_NOTIFICATIONS = 50
HEARTBEAT_SECONDS_MIN, HEARTBEAT_SECONDS_MAX = 10, 86_400
CLOSE_SECONDS = 5.0
# When the exchange stops: the time for the answers to the requests that have begun, and for the closing handshakes.
LAST_ANSWERS_SECONDS = 2.0
LAST_CLOSES_SECONDS = 1.0

# The credits that requests cost, besides the one credit of each request.
MALFORMED_CREDITS = 100
REFUSED_CREDITS = 4
DRY_RUN_CREDITS = 4
PAST_CREDITS = 99
CATCH_UP_CREDITS = 99
WHAT_IF_CREDITS = 999
CHANNELS_PER_CREDIT = 10
# The work that a new connection causes, for the order of turns.
CONNECT_SECONDS = 0.0003

SECONDS_PER_HOUR = 3_600

Positive = Annotated[int, Meta(ge=1)]
# 0: no limit.
Limit = Annotated[int, Meta(ge=0)]


class GatewayLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits that an operator may change. `MEANINGS` explains each; a limit that may be 0 is then off."""

    connections_max: Positive = 2_000
    connections_per_address_max: Limit = 200
    connections_per_user_max: Limit = 200
    exempt_addresses: tuple[str, ...] = ("127.0.0.1", "::1")
    handshake_s: Positive = 10
    handshake_bytes_max: Positive = 16_384
    handshake_headers_max: Positive = 64
    unauthenticated_s: Limit = 60
    idle_s: Limit = 3_600
    requests_per_second: Limit = 20_000
    credits_per_second_per_user: Limit = 20_000
    credits_per_second_per_address: Limit = 40_000
    accounts_per_hour: Limit = 1_000
    accounts_per_hour_per_address: Limit = 100
    subscriptions_max: Positive = 2_000
    queue_max: Positive = 50_000
    outboxes_bytes_max: Positive = 256 * 1024 * 1024


NO_RATES = GatewayLimits(
    requests_per_second=0, credits_per_second_per_user=0, credits_per_second_per_address=0, accounts_per_hour=0
)

MEANINGS = {
    "connections_max": "Connections in all. Another one is answered with HTTP 503.",
    "connections_per_address_max": "Connections from one address. Another one is answered with HTTP 429.",
    "connections_per_user_max": "Connections that are logged in as one user. Another login is refused (1007).",
    "exempt_addresses": "Addresses and networks, such as 10.0.0.0/8, to which no limit per address applies.",
    "handshake_s": "Seconds for the handshake. The connection is then closed.",
    "handshake_bytes_max": "Bytes of the handshake's request. A longer one is answered with HTTP 431.",
    "handshake_headers_max": "Headers of the handshake's request. More are answered with HTTP 431.",
    "unauthenticated_s": "Seconds of silence of a client without a login and without a channel. It is closed (1008).",
    "idle_s": "Seconds of silence of any client; a pong ends it. The exchange sends a ping at half this time, "
    "and closes the connection at the end (1008).",
    "requests_per_second": "Requests of one connection a second, also `--rate-limit`. Others are refused (1007).",
    "credits_per_second_per_user": "Credits of one user a second, or of one connection before its login.",
    "credits_per_second_per_address": "Credits of all connections from one address a second.",
    "accounts_per_hour": "Accounts that logins open in an hour. Other new users are refused (1007).",
    "accounts_per_hour_per_address": "Accounts that logins from one address open in an hour.",
    "subscriptions_max": "Channels of one connection. More are refused (-32602).",
    "queue_max": "Commands of all connections that wait for the journal. More are refused (1007).",
    "outboxes_bytes_max": "Bytes that all clients together have not read. Then the slowest one is closed.",
}
