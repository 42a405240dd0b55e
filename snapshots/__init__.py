"""Snapshots: a state at a sequence number, bound to its journal, so that a start need not replay everything."""
