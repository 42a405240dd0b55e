"""The state machine: `apply(state, ts_us, command) -> list[Event]`. Only integers; no clock, no I/O, no randomness."""
