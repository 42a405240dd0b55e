"""Versions of the rules: old journals keep theirs, and change only by a recorded command."""

import pytest
from msgspec import UNSET

from exchange.domain.commands import ChangeRules, Command, Genesis, decode_command, encode_command
from exchange.domain.events import Configured, Event, Refused, RulesChanged, encode_event
from exchange.domain.reasons import Reason
from exchange.domain.rules import RULES_VERSION, Market, Rules
from exchange.matching.apply import apply
from exchange.matching.state import State
from exchange.matching.state_codec import decode_state, encode_state
from exchange.projections.views import Views
from exchange.projections.views_codec import decode_views, encode_views
from exchange.runtime.node import old_rules_warning

RULES = Rules(market=Market())


def events_of(*commands: Command) -> tuple[State, list[list[Event]]]:
    state = State()
    return state, [apply(state, n, command) for n, command in enumerate(commands, 1)]


def test_a_genesis_without_a_version_is_of_version_1() -> None:
    command = decode_command(b'{"kind":"genesis"}')
    assert isinstance(command, Genesis) and command.rules_version == 1


def test_only_the_second_version_has_a_fair_market() -> None:
    assert [events_of(Genesis(RULES, version))[0].has_fair_market for version in (1, 2)] == [False, True]
    assert not events_of(Genesis(Rules(), 2))[0].has_fair_market


def test_an_unknown_version_stops_the_exchange() -> None:
    with pytest.raises(AssertionError, match="version 3 is not known"):
        events_of(Genesis(RULES, 3))


def test_a_change_of_the_version_is_a_command() -> None:
    state, (_, events, later) = events_of(Genesis(RULES, 1), ChangeRules(RULES, 2), ChangeRules(RULES))
    assert state.rules_version == 2 and state.has_fair_market
    assert [events[0], later[0]] == [RulesChanged(RULES, 2)] * 2
    assert decode_state(encode_state(state)).has_fair_market


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 3), (2, 3)])
def test_a_version_cannot_go_back_or_beyond(before: int, after: int) -> None:
    state, (_, events) = events_of(Genesis(RULES, before), ChangeRules(RULES, after))
    assert events == [Refused(None, Reason.INVALID_RULES)]
    assert state.rules_version == before


def test_commands_and_events_of_version_1_are_encoded_as_before() -> None:
    """Old journals have no version in a change of the rules, and no event of them has one."""
    assert b"rules_version" not in encode_command(ChangeRules(RULES))
    _, (_, events) = events_of(Genesis(RULES, 1), ChangeRules(RULES))
    assert b"rules_version" not in encode_event(events[0])
    assert events[0] == RulesChanged(RULES, UNSET)


def test_the_views_know_the_version() -> None:
    views = Views()
    views.project(1, 1, [Configured(RULES, 1)])
    assert views.rules_version == 1
    views.project(2, 2, [RulesChanged(RULES, 2)])
    assert (views.rules_version, decode_views(encode_views(views)).rules_version) == (2, 2)


def test_each_start_of_an_old_journal_warns() -> None:
    assert f"exchange admin rules --version {RULES_VERSION}" in old_rules_warning(1)
