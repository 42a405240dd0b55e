"""The pytest plugin: the fixtures `venue` and `new_venue`. pytest loads it wherever the exchange is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from exchange.testing.venue import Venue


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "venue(**options): the options of exchange.testing.Venue for the fixture venue")


@pytest.fixture(scope="session")
def _venue_of_session() -> Iterator[Venue]:
    # Imported only when a test uses it: the plugin is loaded in every run of pytest.
    from exchange.testing.venue import Venue

    with Venue() as venue:
        yield venue


@pytest.fixture
def venue(request: pytest.FixtureRequest, _venue_of_session: Venue) -> Venue:
    """A whole exchange, new for each test. `@pytest.mark.venue(crowd=True)` gives it options."""
    from exchange.gateway.chaos import ChaosPlan
    from exchange.runtime.demo import DEMO_RULES
    from exchange.testing.venue import START

    options: dict[str, Any] = {
        "rules": DEMO_RULES,
        "start": START,
        "seed": 1,
        "crowd": False,
        "chaos": ChaosPlan(),
    }
    for marker in reversed(list(request.node.iter_markers("venue"))):
        options |= marker.kwargs
    _venue_of_session.reset(**options)
    return _venue_of_session


@pytest.fixture
def new_venue() -> Iterator[Callable[..., Venue]]:
    """Makes further venues, which close after the test: `new_venue(seed=2)`."""
    from exchange.testing.venue import Venue

    made: list[Venue] = []

    def make(**options: Any) -> Venue:
        made.append(Venue(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()
