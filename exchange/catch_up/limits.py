"""Every limit of catch-ups and of the notifications that wait in an outbox."""

import os

# Commands, and the orders, trades, positions and balances that they changed, that are remembered for clients which
# connect again soon. If either is exceeded, the oldest commands are forgotten.
RECENT_MAX = 10_000
RECENT_SIZE_MAX = 100_000

# Bytes of live notifications that one catch-up buffers. If they become more, the buffer is emptied, and they are
# replayed from the journal later.
CATCH_UP_BUFFER_MAX = 4 * 1024 * 1024

# Bytes of notifications that wait for the answer to a batch. If they become more, the connection is closed.
BATCH_BUFFER_MAX = 32 * 1024 * 1024

# Subprocesses that replay the journal at the same time, at most one for each core. Further catch-ups wait for one.
WORKERS_MAX = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

# If a client reads nothing of a catch-up during this time, the connection is closed (1011).
STALL_SECONDS = 30
