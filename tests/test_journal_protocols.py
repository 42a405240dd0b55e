"""Two implementations of the journal's protocols, in memory and on SQLite, lead to the same exchange."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from exchange.engine.engine import STATE_SUBJECT, Engine
from exchange.engine.recovery import event_rows, recover_from, replay
from exchange.history.moment import Moment, seq_at
from exchange.journal.errors import JournalDamagedError
from exchange.journal.memory import MemoryJournal, MemoryJournalReader
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.protocols import Fields, JournalReader, JournalWriter
from exchange.journal.records import Head, Record
from exchange.projections.views_codec import encode_views
from tests.journals import COMMANDS, play
from tests.old_events import append_old_events

RECORDED_EVENTS = COMMANDS - 10  # as after a crash


class Journals(NamedTuple):
    """The same contents twice, and the exchange that they lead to."""

    memory: JournalReader
    sqlite: JournalReader
    engine: Engine


async def write(journal: JournalWriter, source: JournalReader, engine: Engine) -> None:
    """Write what `source` holds, through the protocol of writers."""
    await journal.append(list(source.records(Head())))
    await append_old_events(journal, list(source.events(1, RECORDED_EVENTS)))
    await journal.append_digests([(COMMANDS, STATE_SUBJECT, engine.digest())])
    await journal.append_answers([(100, 7), (200, 8)])
    assert journal.head == source.head()
    await journal.close()


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journals]:
    folder = tmp_path_factory.mktemp("journals")
    engine = play(folder / "played.db", count=COMMANDS)
    memory = MemoryJournal()

    async def write_both(source: JournalReader) -> None:
        await write(memory, source, engine)
        await write(await open_journal_writer(folder / "exchange.db"), source, engine)

    with open_journal_reader(folder / "played.db") as source:
        asyncio.run(write_both(source))
    with (
        MemoryJournalReader(memory, folder / "memory") as in_memory,
        open_journal_reader(folder / "exchange.db") as on_disk,
    ):
        yield Journals(in_memory, on_disk, engine)


def no_progress(done: int, total: int) -> None:
    pass


def test_both_read_the_same(journals: Journals) -> None:
    memory, sqlite, _ = journals
    assert memory.head() == sqlite.head()
    assert memory.events_seq() == sqlite.events_seq() == RECORDED_EVENTS
    assert memory.kinds() == sqlite.kinds() and memory.kinds()["genesis"] == (1, 1)
    assert list(memory.bases) == list(sqlite.bases)
    for seq in (0, 1, 200, COMMANDS, COMMANDS + 1):
        assert memory.head_at(seq) == sqlite.head_at(seq)
    for after, up_to in ((0, None), (0, 10), (200, 300), (COMMANDS, None)):
        head = sqlite.head_at(after)
        assert head is not None
        assert list(memory.records(head, up_to)) == list(sqlite.records(head, up_to))
    for first, last in ((1, COMMANDS), (5, 5), (300, 10_000), (7, 6)):
        assert list(memory.records_where(first, last)) == list(sqlite.records_where(first, last))
        assert list(memory.events(first, last)) == list(sqlite.events(first, last))
        assert list(memory.answer_times(first, last)) == list(sqlite.answer_times(first, last))
    assert list(memory.digests()) == list(sqlite.digests()) != list(sqlite.digests(COMMANDS)) == []


def test_both_select_by_fields(journals: Journals) -> None:
    """The fields of one entry all hold; one entry is enough."""
    memory, sqlite, _ = journals
    searches: list[list[Fields]] = [
        [{"kind": "order_accepted"}],
        [{"kind": "traded", "taker_side": "bid"}, {"order_id": 3}],
        [{"user_id": "alice", "kind": "order_cancelled"}],
        [{"no_such_field": 1}],
    ]
    for any_of in searches:
        found = list(sqlite.events(1, COMMANDS, any_of))
        assert list(memory.events(1, COMMANDS, any_of)) == found
        assert bool(found) == (any_of != [{"no_such_field": 1}])
    named: list[Fields] = [{"kind": "place_order", "user_id": "alice"}, {"kind": "cancel_order"}]
    assert list(memory.records_where(1, COMMANDS, named)) == list(sqlite.records_where(1, COMMANDS, named)) != []


def test_both_recover_to_the_same_exchange(journals: Journals) -> None:
    """Also in the past."""
    *readers, engine = journals
    for up_to in (None, 150):
        memory, sqlite = (recover_from(reader, lambda _: None, no_progress, up_to) for reader in readers)
        assert memory.engine.head == sqlite.engine.head
        assert memory.engine.digest() == sqlite.engine.digest()
        assert encode_views(memory.engine.views) == encode_views(sqlite.engine.views)
        assert (memory.engine.digest() == engine.digest()) == (up_to is None)


def test_both_replay_to_the_recorded_events_and_digests(journals: Journals) -> None:
    for reader in (journals.memory, journals.sqlite):
        engine, rows = Engine(), []
        for record in reader.records(engine.head):
            rows += event_rows([(record.seq, replay(engine, record))])
        assert [row for row in rows if row[0] <= RECORDED_EVENTS] == list(reader.events(1, COMMANDS))
        assert {seq: digest for seq, _, digest in reader.digests()} == {COMMANDS: engine.digest()}


@pytest.mark.slow
def test_both_answer_questions_about_the_past(journals: Journals) -> None:
    memory, sqlite, _ = journals
    ts_us = next(sqlite.records_where(123, 123)).ts_us
    assert seq_at(memory, Moment(ts_us=ts_us)) == seq_at(sqlite, Moment(ts_us=ts_us)) == 123


def test_both_name_the_first_record_that_does_not_fit(journals: Journals) -> None:
    records = list(journals.sqlite.records(Head()))
    damaged = MemoryJournal()
    damaged.records = [*records[:5], Record(6, records[5].ts_us, "{}", records[5].hash), *records[6:]]
    with pytest.raises(JournalDamagedError, match="seq 6 is damaged"):
        list(MemoryJournalReader(damaged, Path("memory")).records(Head()))
