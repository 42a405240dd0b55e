"""Snapshots: the state at a sequence number, bound to its journal, from which a start replays the rest."""
