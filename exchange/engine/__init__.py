"""The state machine and its projections as one `step`, its recovery from a journal, and its digests."""
