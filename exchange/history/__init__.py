"""Questions about a journal: its state at any moment, replays, SQL, checks, explanations, what-ifs and charts.

Everything here replays with the same `step()` as the live exchange. Only compact, rebuild, fork and import write.
"""
