"""The time machine: any moment of a journal, and what can be asked about it. Reads only; the same `step()` as live."""
