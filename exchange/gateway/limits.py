"""Every limit of the gateway, in one place. The limits of catch-ups are in `catch_up/limits.py`."""

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

# Of one connection.
SUBSCRIPTIONS_MAX = 2_000
# Unanswered requests. The server reads no further until some are answered.
IN_FLIGHT_MAX = 1_000
# Bytes of messages since the last write. No more requests start until they are written.
UNSENT_MAX = 1024 * 1024
# Bytes that the client has not read. More than that closes the connection.
OUTBOX_MAX = 32 * 1024 * 1024
# A connection may send one second's worth at once.
REQUESTS_PER_SECOND = 20_000
# Work for one connection before other connections have their turn, and work for all of them before the sockets are read
# and commands are answered.
TURN_SECONDS = 0.001
PASS_SECONDS = 0.003
# Bytes of one connection that are decoded before the time is checked.
SLICE_BYTES = 512
# Bytes of one connection that wait for its turn. The server reads no further until they are fewer.
UNREAD_MAX = 64 * 1024
# The work that a command causes later, when it is recorded and applied.
COMMAND_SECONDS = 0.00005
# If this many commands wait for the journal, connections with more than so many unanswered requests wait.
CROWDED_QUEUE = 128
CROWDED_UNANSWERED = 8
HEARTBEAT_SECONDS_MIN, HEARTBEAT_SECONDS_MAX = 10, 86_400
HANDSHAKE_SECONDS = 10
CLOSE_SECONDS = 5

# Commands of all connections that wait for the journal. More are refused with 1007.
QUEUE_MAX = 50_000
