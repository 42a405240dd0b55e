"""A venue for the tests of bots: a whole exchange in the test's process, with a clock of its own.

`venue` is a pytest fixture of this package. `docs/testing.md` is its guide.
"""

from exchange.gateway.chaos import ChaosEntry, ChaosPlan, Fault, MaintenancePlan
from exchange.testing.venue import Venue

__all__ = ["ChaosEntry", "ChaosPlan", "Fault", "MaintenancePlan", "Venue"]
