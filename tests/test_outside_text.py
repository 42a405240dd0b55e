"""Input from outside in odd encodings: every command that reads it answers with one error, or reads it."""

import codecs
import gzip
import json
import random
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from exchange.cli import index_feed
from exchange.cli.main import main
from exchange.outside_text import LINE_BYTES_MAX, InputError, opened_lines, read_text
from tests.journals import play


class Reading(NamedTuple):
    """A command line that reads outside input, and text that it accepts.

    FILE in `arguments` is the path of the input, NEW a new journal; without FILE the command reads standard input.
    """

    arguments: list[str]
    text: str


COMMANDS = {
    "checks": Reading(["journal", "check", "--checks", "FILE"], "-- nothing is odd\nSELECT 1 WHERE 0\n"),
    "sql": Reading(["sql"], "SELECT 1;\n"),
    "csv": Reading(["index", "feed", "--speed", "0", "--csv", "FILE"], "2026-02-27T00:00:00Z,SOL,150\n"),
    "stdin": Reading(["index", "feed", "--stdin"], "SOL 150\n"),
    "init": Reading(["init", "--db", "NEW", "--rules", "FILE"], 'fees = "deribit"\n'),
    "init-json": Reading(["init", "--db", "NEW", "--rules", "FILE"], '{"fees": "deribit"}\n'),
    "rules": Reading(["admin", "rules", "FILE"], 'fees = "deribit"\n'),
    "insert": Reading(["what-if", "--insert", "5", "FILE"], '{"kind":"deposit","user_id":"x","amount_micros":1}\n'),
    "import": Reading(["journal", "import", "--db", "NEW", "FILE"], "EXPORT"),
    "import-stdin": Reading(["journal", "import", "--db", "NEW", "-"], "EXPORT"),
    "expect": Reading(["journal", "verify", "--fast", "--expect", "FILE"], "CHECKPOINT"),
    "public-key": Reading(["journal", "verify", "--fast", "--public-key", "FILE"], f"{'5d' * 32}\n"),
    "prove": Reading(["journal", "prove", "FILE"], "RECEIPT"),
    "bisect": Reading(["journal", "bisect", "--against", "FILE"], "DIGESTS"),
}
BAD: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "utf-16": (lambda text: text.decode().encode("utf-16"), "line 1: the file is UTF-16"),
    "utf-16 without a mark": (lambda text: text.decode().encode("utf-16-le"), "line 1: byte 2 is NUL"),
    "utf-32": (lambda text: text.decode().encode("utf-32"), "line 1: the file is UTF-32"),
    "latin-1": (lambda text: text + b"\xe9\n", ": byte 1 (0xe9) is not UTF-8"),
    "NUL": (lambda text: text[:5] + b"\0" + text[5:], "line 1: byte 6 is NUL"),
    "gzip": (lambda text: gzip.compress(text, mtime=0), "line 1: the file is compressed with gzip"),
    "SQLite": (lambda text: b"SQLite format 3\0" + bytes(4_000), "line 1: the file is an SQLite database"),
    "zip": (lambda text: b"PK\x03\x04" + text, "line 1: the file is a zip archive"),
    "long": (lambda text: b" " * (LINE_BYTES_MAX + 1) + text, "line 1: the line is longer than"),
}
GOOD: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda text: text,
    "BOM": lambda text: codecs.BOM_UTF8 + text,
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
    "no end of line": lambda text: text.rstrip(b"\n"),
}
BAD_GZIP: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda text: gzip.compress(text, mtime=0)[:-9],
    "plain": lambda text: text,
    "flipped": lambda text: gzip.compress(text, mtime=0)[:10] + b"\xff" * 50,
}


class FakeAdmin:
    """An exchange that notes the prices that it gets."""

    def __init__(self) -> None:
        self.prices: list[tuple[str, int]] = []

    async def call(self, method: str, asset: str, price: int) -> None:
        assert method == "admin/set_index_price"
        self.prices.append((asset, price))

    def connect(self, *_arguments: str | None, key: None, tls: None) -> AbstractAsyncContextManager["FakeAdmin"]:
        return nullcontext(self)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("outside") / "exchange.db"
    play(path, seed=3, count=30)
    return path


@pytest.fixture(scope="module")
def texts(journal: Path) -> dict[str, bytes]:
    """The accepted text of each command."""
    export, digests, checkpoint = (
        CliRunner().invoke(main, ["journal", command, "--db", str(journal)]).stdout_bytes
        for command in ("export", "digests", "checkpoint")
    )
    line = json.loads(export.splitlines()[6])
    made = {
        "EXPORT": export,
        "DIGESTS": digests,
        "CHECKPOINT": json.dumps(json.loads(checkpoint)).encode() + b"\n",
        "RECEIPT": f"{line['seq']}:{line['hash']}\n".encode(),
    }
    return {name: made.get(reading.text, reading.text.encode()) for name, reading in COMMANDS.items()}


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> FakeAdmin:
    """`index feed` sends its prices here."""
    admin = FakeAdmin()
    monkeypatch.setattr(index_feed, "connect", admin.connect)
    monkeypatch.setattr(index_feed, "url_of", str)
    monkeypatch.setattr(index_feed, "admin_secret_of", str)
    return admin


def run(name: str, content: bytes, journal: Path, folder: Path, file_name: str = "input.txt") -> Result:
    file, new = folder / file_name, folder / "new.db"
    file.write_bytes(content)
    words = [{"FILE": str(file), "NEW": str(new)}.get(word, word) for word in COMMANDS[name].arguments]
    if "--db" not in words:
        words += ["--db", str(journal)]
    return CliRunner().invoke(main, words, input=content)


def check_refusal(outcome: Result, message: str, folder: Path) -> None:
    assert (outcome.exit_code, message in outcome.stderr) == (2, True), outcome.output
    assert "Traceback" not in outcome.stderr and "report it" not in outcome.stderr
    assert outcome.stderr.count("Error:") == 1 and "line " in outcome.stderr
    assert not list(folder.glob("new.db*")), "something was left of a failed command"


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", COMMANDS)
def test_unreadable_input_is_one_error(
    name: str, kind: str, journal: Path, texts: dict[str, bytes], admin: FakeAdmin, tmp_path: Path
) -> None:
    spoil, message = BAD[kind]
    outcome = run(name, spoil(texts[name]), journal, tmp_path)
    check_refusal(outcome, message, tmp_path)
    assert ("standard input" if "FILE" not in COMMANDS[name].arguments else "input.txt") in outcome.stderr


@pytest.mark.parametrize("kind", BAD_GZIP)
@pytest.mark.parametrize("name", [name for name, reading in COMMANDS.items() if "FILE" in reading.arguments])
def test_damaged_gzip_is_one_error(
    name: str, kind: str, journal: Path, texts: dict[str, bytes], admin: FakeAdmin, tmp_path: Path
) -> None:
    outcome = run(name, BAD_GZIP[kind](texts[name]), journal, tmp_path, "input.gz")
    check_refusal(outcome, "the file is not a valid .gz file", tmp_path)


@pytest.mark.parametrize("kind", [*GOOD, "gzip"])
@pytest.mark.parametrize("name", COMMANDS)
def test_readable_input_is_read(
    name: str, kind: str, journal: Path, texts: dict[str, bytes], admin: FakeAdmin, tmp_path: Path
) -> None:
    if kind == "gzip" and "FILE" in COMMANDS[name].arguments:
        outcome = run(name, gzip.compress(texts[name]), journal, tmp_path, "input.gz")
    else:
        outcome = run(name, GOOD.get(kind, bytes)(texts[name]), journal, tmp_path)
    if name == "rules":
        # Reading the file succeeded, so that the command asks the exchange.
        assert (outcome.exit_code, "no exchange is running" in outcome.stderr) == (1, True), outcome.output
    else:
        assert outcome.exit_code == 0, outcome.output
    assert admin.prices == ([("SOL", 150_000_000)] if name in ("csv", "stdin") else [])


@pytest.mark.parametrize("name", COMMANDS)
def test_deep_nesting_is_no_unexpected_error(name: str, journal: Path, admin: FakeAdmin, tmp_path: Path) -> None:
    line = '{"seq":1,"ts_us":1,"hash":"","kind":"deposit","command":' + "[" * 50_000 + "\n"
    outcome = run(name, line.encode(), journal, tmp_path)
    assert "report it" not in outcome.stderr, outcome.stderr
    assert outcome.exit_code == {"stdin": 0, "sql": 1}.get(name, 2)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1772150400,SOL,150\n", "line 1: 1772150400 is a time in seconds; a number must be in microseconds"),
        ("time,asset,price\n1772150400000,SOL,150\n", "line 2: 1772150400000 is a time in milliseconds"),
        ("1772150400000000000,SOL,150\n", "line 1: 1772150400000000000 is a time in nanoseconds"),
        ("5,SOL,150\n", "line 1: 5 is not a time"),
        (f"{'9' * 5_000},SOL,150\n", "is not a time"),
        (
            "2026-02-27T00:00:01Z,SOL,150\n\n2026-02-27T00:00:00Z,SOL,151\n",
            "line 3: 2026-02-27T00:00:00Z is earlier than the time before it",
        ),
        ("2026-02-27T00:00:00Z;SOL;150\n", "line 1: the line has 1 column separated by semicolons, not 3"),
        ("2026-02-27T00:00:00Z,SOL,1,50\n", "line 1: the line has 4 columns, not 3"),
        (f'2026-02-27T00:00:00Z,SOL,"{"1" * 200_000}"\n', "line 1: field larger than field limit"),
        ("2026-02-27T00:00:00Z,SOL,150\r2026-02-27T00:00:01Z,SOL,150\r", "line 1: new-line character"),
        ("Time,Asset,Price\n", "contains no price"),
        ("", "contains no price"),
    ],
)
def test_csv_that_cannot_be_meant(text: str, complaint: str, admin: FakeAdmin, journal: Path, tmp_path: Path) -> None:
    outcome = run("csv", text.encode(), journal, tmp_path)
    assert (outcome.exit_code, complaint in outcome.stderr) == (2, True), outcome.stderr
    assert admin.prices == []


def test_equal_times_and_microseconds_are_accepted(admin: FakeAdmin, journal: Path, tmp_path: Path) -> None:
    text = b"1772150400000000,SOL,150\n2026-02-27T00:00:00Z, ETH , 4000 \n"
    assert run("csv", text, journal, tmp_path).exit_code == 0
    assert admin.prices == [("SOL", 150_000_000), ("ETH", 4_000_000_000)]


def test_check_without_a_query(journal: Path, tmp_path: Path) -> None:
    outcome = run("checks", b"-- only a promise\n", journal, tmp_path)
    assert (outcome.exit_code, "contains no query" in outcome.stderr) == (2, True), outcome.output


def test_argument_that_is_no_text(journal: Path) -> None:
    """Python passes bytes of the command line that are not UTF-8 as surrogates."""
    outcome = CliRunner().invoke(main, ["sql", "SELECT '\udce9'", "--db", str(journal)])
    assert (outcome.exit_code, "is not valid text" in outcome.stderr) == (1, True), outcome.output


def test_large_gzip_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """A small file may hold a huge line. Only its beginning is decompressed."""
    file = tmp_path / "huge.gz"
    with gzip.open(file, "wb", 1) as out:
        for _ in range(64):
            out.write(b" " * LINE_BYTES_MAX)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="line 1: the line is longer"), opened_lines(file) as lines:
            next(lines)
        assert tracemalloc.get_traced_memory()[1] < 16 * LINE_BYTES_MAX
    finally:
        tracemalloc.stop()


def test_missing_file_and_long_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_text(tmp_path / "none.toml")
    file = tmp_path / "long.toml"
    file.write_bytes((b"# " + b"x" * 1_000_000 + b"\n") * 17)
    with pytest.raises(InputError, match="line 17: the file is longer than"):
        read_text(file)


def test_a_file_that_decompresses_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bomb.gz"
    monkeypatch.setattr("exchange.outside_text.RATIO_FROM_BYTES", 10_000)
    with gzip.open(file, "wb") as written:
        written.writelines(b"a" * 100_000 + b"\n" for _ in range(50))
    taken = 0
    with opened_lines(file) as lines, pytest.raises(InputError, match="decompresses to more than 50 times its size"):
        for _ in lines:
            taken += 1
    assert taken < 10
    # Text, even of the same few lines again and again, is far from it.
    numbers = random.Random(1)
    with gzip.open(file, "wb") as written:
        hashes = (numbers.randbytes(32).hex().encode() for _ in range(2_000))
        written.writelines(b'{"hash":"%s","command":"the same"}\n' % one for one in hashes)
    with opened_lines(file) as lines:
        assert sum(1 for _ in lines) == 2_000
