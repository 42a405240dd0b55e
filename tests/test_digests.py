"""Digests of the events: the same however the events come in, and different as soon as one event is."""

import hashlib

import pytest

from exchange.engine.digests import EventsDigest
from exchange.journal.records import EventRow

ROWS: list[EventRow] = [(seq, n, f'{{"seq":{seq},"n":{n}}}') for seq in range(1, 36) for n in range(1 + seq % 3)]


def expected(first_seq: int, last_seq: int) -> str:
    text = "".join(f"{payload}\n" for seq, _, payload in ROWS if first_seq <= seq <= last_seq)
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("commands_at_once", [1, 3, 10, 35])
def test_the_digest_of_each_span(commands_at_once: int) -> None:
    digest = EventsDigest(0, every=10)
    found = []
    for first in range(1, 36, commands_at_once):
        found += digest.add([row for row in ROWS if first <= row[0] < first + commands_at_once])
    assert found == [(mark, "events", expected(mark - 9, mark)) for mark in (10, 20, 30)]


def test_an_incomplete_first_span_has_no_digest() -> None:
    found = EventsDigest(14, every=10).add([row for row in ROWS if row[0] > 14])
    assert found == [(30, "events", expected(21, 30))]


def test_one_changed_event_changes_the_digest() -> None:
    changed = [(seq, n, payload.replace("17", "71")) for seq, n, payload in ROWS]
    before, after = EventsDigest(0, 10).add(ROWS), EventsDigest(0, 10).add(changed)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
