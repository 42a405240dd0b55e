"""The order in which an outbox sends notifications, and what happens if too many of them wait."""

import pytest

from exchange.catch_up import outbox
from exchange.catch_up.outbox import Buffer, Outbox


class Client:
    """The receiving end of an outbox: the texts that were sent, and the reasons to close."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.reasons: list[str] = []
        self.outbox = Outbox(self.texts.append, self.reasons.append)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(outbox, "CATCH_UP_BUFFER_MAX", 10)
    monkeypatch.setattr(outbox, "BATCH_BUFFER_MAX", 10)
    return Client()


def test_live_notifications_leave_at_once(client: Client) -> None:
    client.outbox.notify("a", b"1")
    assert client.texts == [b"1"]


def test_replayed_notifications_leave_before_live_ones(client: Client) -> None:
    buffer = client.outbox.buffer(["a", "b"])
    client.outbox.notify("a", b"3")
    client.outbox.notify("c", b"other channels do not wait")
    client.outbox.deliver("a", b"1")
    client.outbox.notify("b", b"4")
    client.outbox.deliver("a", b"2")
    client.outbox.go_live(buffer)
    client.outbox.notify("a", b"5")
    assert client.texts == [b"other channels do not wait", b"1", b"2", b"3", b"4", b"5"]


def test_notifications_of_a_batch_follow_its_answer(client: Client) -> None:
    client.outbox.hold()
    client.outbox.notify("a", b"1")
    client.outbox.deliver("b", b"2")
    assert client.outbox.is_holding and not client.texts
    client.texts.append(b"answer")
    client.outbox.release()
    client.outbox.notify("a", b"3")
    assert client.texts == [b"answer", b"1", b"2", b"3"] and not client.outbox.is_holding


def test_a_channel_that_goes_live_during_a_batch_waits_for_its_answer(client: Client) -> None:
    buffer = client.outbox.buffer(["a"])
    client.outbox.hold()
    client.outbox.notify("a", b"2")
    client.outbox.deliver("a", b"1")
    client.outbox.go_live(buffer)
    client.outbox.notify("a", b"3")
    assert not client.texts
    client.outbox.release()
    assert client.texts == [b"1", b"2", b"3"]


def test_a_second_hold_keeps_what_waits(client: Client) -> None:
    client.outbox.hold()
    client.outbox.notify("a", b"1")
    client.outbox.hold()
    client.outbox.release()
    assert client.texts == [b"1"]


def test_unsubscribed_channels_are_dropped_everywhere(client: Client) -> None:
    client.outbox.hold()
    buffer = client.outbox.buffer(["a", "b"])
    for name in ("a", "b", "c", "d"):
        client.outbox.notify(name, name.encode())
    client.outbox.discard(["a", "c"])
    client.outbox.notify("a", b"live")
    client.outbox.go_live(buffer)
    client.outbox.release()
    assert client.texts == [b"d", b"live", b"b"]


def test_buffering_that_stops_drops_what_waited(client: Client) -> None:
    buffer = client.outbox.buffer(["a"])
    client.outbox.notify("a", b"1")
    client.outbox.stop_buffering(buffer)
    client.outbox.notify("a", b"2")
    assert client.texts == [b"2"]


def test_an_overrun_catch_up_buffer_must_be_replaced(client: Client) -> None:
    overrun = client.outbox.buffer(["a"])
    client.outbox.notify("a", b"12345")
    client.outbox.notify("a", b"123456")
    client.outbox.notify("a", b"1")
    assert overrun.is_overrun and not overrun.take() and not client.reasons
    buffer = client.outbox.buffer(["a"])
    client.outbox.notify("a", b"2")
    client.outbox.go_live(buffer)
    assert client.texts == [b"2"]


def test_too_many_notifications_of_a_batch_close_the_connection_once(client: Client) -> None:
    client.outbox.hold()
    for _ in range(5):
        client.outbox.notify("a", b"12345")
    client.outbox.discard(["b"])
    client.outbox.notify("a", b"1")
    client.outbox.release()
    assert client.reasons == ["too many notifications queued behind an unanswered batch"] and not client.texts


def test_a_buffer_has_room_for_what_was_discarded_or_taken() -> None:
    buffer = Buffer(10)
    buffer.add("a", b"12345")
    buffer.add("b", b"12345")
    buffer.discard(["a"])
    buffer.add("a", b"67890")
    assert not buffer.is_overrun and buffer.take() == [("b", b"12345"), ("a", b"67890")]
    buffer.add("a", b"1234567890")
    assert not buffer.is_overrun and buffer.take() == [("a", b"1234567890")]
