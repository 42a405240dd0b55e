"""Someone to trade with: bots that decide without I/O, and an index that walks. What runs them is in `live`."""
