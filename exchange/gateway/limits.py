"""Every limit of the gateway, in one place."""

FRAME_MAX = 64 * 1024  # bytes in one message, fragments together; beyond it the connection is closed (1009)
FRAGMENTS_MAX = 1_024  # fragments of one message
BATCH_MAX = 100  # requests in one JSON-RPC batch
CHANNELS_PER_CALL_MAX = 500
SUBSCRIPTIONS_MAX = 2_000  # of one connection
BOOK_DEPTH_MAX = 100
ASSET_MAX = 32  # characters; no asset has more than 10
INSTRUMENT_ID_MAX = 64  # characters; no instrument has more than 36
COUNT_MAX = 1_000  # entries in one answer of a history
SETTLEMENTS_MAX = 100  # in one answer, unless one command brought more
IN_FLIGHT_MAX = 1_000  # requests of one connection that are not answered yet; beyond it no more is read
QUEUE_MAX = 50_000  # commands of all connections that wait for the journal; beyond it 1007
UNSENT_MAX = 1024 * 1024  # bytes of answers that are not sent; beyond it no more is answered until they are
OUTBOX_MAX = 32 * 1024 * 1024  # bytes that a client may leave unread; beyond it the connection is closed
TURN_SECONDS = 0.005  # of work for one connection, after which it is everybody else's turn
REQUESTS_PER_SECOND = 20_000  # of one connection, with a burst of one second's worth
HEARTBEAT_SECONDS_MIN, HEARTBEAT_SECONDS_MAX = 10, 86_400
HANDSHAKE_SECONDS = 10
CLOSE_SECONDS = 5
