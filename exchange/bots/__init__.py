"""Demo bots: market makers and takers that decide without I/O, and a random index. `live` runs them as clients."""
