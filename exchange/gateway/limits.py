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
# Work for one connection before other connections have their turn.
TURN_SECONDS = 0.005
HEARTBEAT_SECONDS_MIN, HEARTBEAT_SECONDS_MAX = 10, 86_400
HANDSHAKE_SECONDS = 10
CLOSE_SECONDS = 5

# Commands of all connections that wait for the journal. More are refused with 1007.
QUEUE_MAX = 50_000
