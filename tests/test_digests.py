"""Digests of the events: the same for the same events, and different as soon as one event is."""

import hashlib

import pytest

from exchange.domain.events import AccountOpened, Deposited, Event, encode_event
from exchange.engine.digests import EventsDigest, OldEventsDigest
from exchange.journal.records import DigestRow, EventRow

EVENTS: list[list[Event]] = [
    [AccountOpened(f"user{seq}"), *[Deposited(f"user{seq}", n) for n in range(seq % 3)]] for seq in range(1, 36)
]
ROWS: list[EventRow] = [(seq, n, f'{{"seq":{seq},"n":{n}}}') for seq in range(1, 36) for n in range(1 + seq % 3)]


def expected(first_seq: int, last_seq: int) -> str:
    text = "".join(f"{payload}\n" for seq, _, payload in ROWS if first_seq <= seq <= last_seq)
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("commands_at_once", [1, 3, 10, 35])
def test_the_old_digest_of_each_span(commands_at_once: int) -> None:
    digest = OldEventsDigest(0, every=10)
    found = []
    for first in range(1, 36, commands_at_once):
        found += digest.add([row for row in ROWS if first <= row[0] < first + commands_at_once])
    assert found == [(mark, "events", expected(mark - 9, mark)) for mark in (10, 20, 30)]


def test_an_incomplete_first_span_has_no_old_digest() -> None:
    found = OldEventsDigest(14, every=10).add([row for row in ROWS if row[0] > 14])
    assert found == [(30, "events", expected(21, 30))]


def test_one_changed_event_changes_the_old_digest() -> None:
    changed = [(seq, n, payload.replace("17", "71")) for seq, n, payload in ROWS]
    before, after = OldEventsDigest(0, 10).add(ROWS), OldEventsDigest(0, 10).add(changed)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]


def chained(first_seq: int, last_seq: int) -> DigestRow:
    value = bytes(32)
    for events in EVENTS[first_seq - 1 : last_seq]:
        value = hashlib.sha256(value + b"[" + b",".join(map(encode_event, events)) + b"]").digest()
    return last_seq, "events/2", value.hex()


def added(digest: EventsDigest, events: list[list[Event]]) -> EventsDigest:
    for caused in events:
        digest.add(caused)
    return digest


def test_each_span_is_a_chain_of_its_own() -> None:
    digest = added(EventsDigest(every=10), EVENTS)
    assert digest.take_complete() == [chained(1, 10), chained(11, 20), chained(21, 30)]
    assert digest.take_complete() == []
    assert digest.rows() == [chained(31, 35)]


@pytest.mark.parametrize("seq", [9, 10, 11])
def test_a_digest_continues_from_a_value(seq: int) -> None:
    value = added(EventsDigest(every=10), EVENTS[:seq]).value
    assert added(EventsDigest(seq, value, every=10), EVENTS[seq:]).rows() == [chained(31, 35)]


def test_an_unknown_digest_is_known_from_the_next_span_on() -> None:
    digest = added(EventsDigest(14, None, every=10), EVENTS[14:20])
    assert (digest.value, digest.rows(), digest.take_complete()) == (None, [], [])
    assert added(digest, EVENTS[20:]).take_complete() == [chained(21, 30)]


def test_one_changed_event_changes_the_digest_of_its_span() -> None:
    changed = [*EVENTS[:16], [*EVENTS[16], Deposited("user17", 0)], *EVENTS[17:]]
    before, after = added(EventsDigest(every=10), EVENTS), added(EventsDigest(every=10), changed)
    pairs = zip(before.take_complete(), after.take_complete(), strict=True)
    assert [a == b for a, b in pairs] == [True, False, True]
