"""Plays the golden conversations in tests/sessions. conversation.py describes their grammar."""

from pathlib import Path

import pytest

from exchange.gateway.methods import METHODS
from exchange.runtime import pipeline
from tests.conversation import ConversationError, play, retell
from tests.lawyer import CODES

FILES = sorted((Path(__file__).parent / "sessions").glob("*.txt"))


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "UNAVAILABLE_PAUSE_SECONDS", 0)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_session(path: Path) -> None:
    try:
        play(path)
    except ConversationError as error:
        pytest.fail(str(error), pytrace=False)


def test_every_code_and_every_method_is_in_a_session() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    assert [code for code in sorted(CODES) if f'"error":{{"code":{code},' not in text] == []
    assert [method for method in METHODS if f'"method":"{method}"' not in text] == []


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['alice< {"jsonrpc":"2.0","id":1,"result":{}}'], r"wrong.txt:2:\nexpected: .*\ncame:     .*version"),
        (["", "alice> nonsense"], r"wrong.txt:2: not expected:\nalice< .*version"),
        (["alice< {}", "alice< {}"], "wrong.txt:2:"),
        (["bob< {}"], "came:     nothing"),
        (["disk half-full"], "wrong.txt:2: not understood"),
    ],
)
def test_a_difference_is_reported(tmp_path: Path, lines: list[str], message: str) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text("\n".join(['alice> {"jsonrpc":"2.0","id":1,"method":"public/test"}', *lines]), encoding="utf-8")
    with pytest.raises(ConversationError, match=message):
        play(path)


def test_a_conversation_can_be_printed() -> None:
    path = next(path for path in FILES if path.stem == "channels")
    assert retell(path).strip() == path.read_text(encoding="utf-8").strip()
