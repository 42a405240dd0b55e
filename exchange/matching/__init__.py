"""The state machine, `apply(state, ts_us, command) -> list[Event]`: no clock, no I/O, no randomness, only integers."""
