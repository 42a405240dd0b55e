"""Hostile frames from a seed: requests of every method, valid and mutated, batches of them, and garbage.

The valid requests are those of the golden conversations, and orders in a small market. A mutation works on the text and
not on a tree, so that it also makes texts that no encoder makes: keys given twice, half tokens, repeated pieces.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import msgspec

from exchange.gateway.limits import BATCH_MAX, FRAME_MAX
from exchange.gateway.methods import METHODS
from tests.conversation import SENDS, read_entries

CALL = "SOL_USDC-28FEB26-150-C"
PUT = "SOL_USDC-28FEB26-150-P"
USERS = ("alice", "bob", "carol", "fees", "admin", "insurance")

# A string, a number, a literal, or one character of punctuation.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9.eE+-]+|[a-zA-Z]+|[{}\[\]:,]')
_MARKS = (b"{", b"}", b"[", b"]", b":", b",")
_MEMBER = re.compile(rb'"(?:[^"\\]|\\.)*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|-?[0-9.eE+-]+|true|false|null)')
_BYTES: tuple[bytes, ...] = (
    b"",
    b'"',
    b"\\",
    b"[",
    b"]",
    b"{",
    b"}",
    b":",
    b",",
    b"\n",
    b"1",
    b"-",
    b"\x00",
    b"\x7f",
    b"\xff",
    b"\xc3",
)
_BYTES += (b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", "\u00e9\u202e\u0130\U0001f600".encode(), b"\xef\xbb\xbf")
_NUMBERS: tuple[bytes, ...] = (
    b"0",
    b"-0",
    b"-1",
    b"1",
    b"1.0",
    b"1e3",
    b"1E400",
    b"-1e-400",
    b"0.1",
    b"9007199254740991",
    b"01",
    b"+1",
)
_NUMBERS += (
    b"9007199254740992",
    b"-9007199254740992",
    b"9223372036854775807",
    b"9223372036854775808",
    b"1" + b"0" * 30,
)
_NUMBERS += (b"18446744073709551616", b"9" * 4_000, b"1_000", b"0x10", b"NaN", b"Infinity", b"-Infinity", b".5", b"5.")
_STRINGS: tuple[bytes, ...] = (
    b'""',
    b'"\\u0000"',
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\\ud83d\\ude00"',
    b'"\\u202e"',
    b'"\\x41"',
    b'"\n"',
)
_STRINGS += (b'"alice"', b'"admin"', b'"Admin"', b'"\\u0061dmin"', b'"' + b"x" * 300 + b'"', b'"%s%n{0}"', b'"../../x"')
_STRINGS += (b'"user.orders"', b'"book.%b.1"' % CALL.encode(), b'"book.%b.999999999999"' % CALL.encode(), b'"gtc"')
_STRINGS += (b'"%b"' % CALL.encode(), b'"%b"' % CALL.lower().encode(), b'"SOL_USDC-31FEB26-150-C"', b'"\' OR 1=1 --"')
_OTHERS: tuple[bytes, ...] = (
    b"null",
    b"true",
    b"false",
    b"[]",
    b"{}",
    b"[[]]",
    b'{"":{}}',
    b'[null,1,"a"]',
    b"nul",
    b"True",
    b"undefined",
)
_OTHERS += (b"[" * 400 + b"]" * 400, b'{"a":' * 300 + b"1" + b"}" * 300)
SNIPPETS = (*_NUMBERS, *_STRINGS, *_OTHERS)
_KEYS: tuple[bytes, ...] = (
    b'"jsonrpc"',
    b'"id"',
    b'"method"',
    b'"params"',
    b'"amount"',
    b'"price"',
    b'"receipt"',
    b'"at_seq"',
    b'"x"',
)
_KEYS += (
    b'"at_ts_us"',
    b'"from_seq"',
    b'"dry_run"',
    b'"client_order_id"',
    b'"instrument_id"',
    b'"user_id"',
    b'"rules"',
)


@cache
def golden_requests() -> dict[str, list[bytes]]:
    """The requests in the golden conversations by method; those of no method, and broken ones, are under ""."""
    found: dict[str, list[bytes]] = {}
    for path in sorted((Path(__file__).parent / "sessions").glob("*.txt")):
        for entry in read_entries(path):
            if match := SENDS.fullmatch(entry.text):
                text = match[3].encode()
                method = _method_of(text)
                found.setdefault(method if method in METHODS else "", []).append(text)
    return found


def _method_of(text: bytes) -> str:
    try:
        request = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return ""
    method = request.get("method") if isinstance(request, dict) else ""
    return method if isinstance(method, str) else ""


def _is_key(text: bytes, token: re.Match[bytes]) -> bool:
    return text[token.end() : token.end() + 1] == b":"


class FrameMaker:
    """Makes frames. Most are short and nearly valid, because those reach furthest into the exchange."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._golden = golden_requests()
        # Each method as often as any other; all that are no methods together as often as one.
        self._methods = [*sorted(METHODS), ""]
        self._mutations: list[Callable[[bytes], bytes]] = [
            *[self._with_other_value] * 9,
            self._with_other_token,
            *[self._with_other_key] * 2,
            *[self._with_member_twice] * 2,
            *[self._with_other_byte] * 2,
            self._without_token,
            self._cut,
            self._spliced,
            self._with_piece_repeated,
        ]

    def frame(self) -> bytes:
        """The next frame, of at most `FRAME_MAX` bytes. It may not be UTF-8."""
        kind = self.random.random()
        if kind < 0.85:
            text = self._request()
        elif kind < 0.96:
            text = self._batch()
        elif kind < 0.99:
            text = self._garbage()
        else:
            text = self._long()
        return text[:FRAME_MAX]

    def _request(self) -> bytes:
        """A request. A third of them are mutated, some several times."""
        text = self._order() if self.random.random() < 0.4 else self._of_any_method()
        while self.random.random() < 0.35:
            text = self.random.choice(self._mutations)(text)
        return text

    def _of_any_method(self) -> bytes:
        return self.random.choice(self._golden[self.random.choice(self._methods)])

    def _order(self) -> bytes:
        random = self.random
        what = random.randrange(11)
        request_id = random.choice((b"1", b'"a"', b"null", b'"\\u00e9"'))
        if what < 7:
            params = b'"instrument_id":"%b","amount":%d,"price":%d' % (
                random.choice((CALL, CALL, CALL, PUT)).encode(),
                random.choice((100, 1_000, 2_500)),
                random.choice((1_490_000, 1_500_000, 1_500_000, 1_510_000, 30_000_000)),
            )
            params += random.choice((b"", b"", b',"client_order_id":"a"', b',"post_only":true', b',"receipt":true'))
            params += random.choice((b"", b"", b',"time_in_force":"ioc"', b',"reduce_only":true', b',"dry_run":true'))
            method = random.choice((b"buy", b"sell"))
        elif what < 9:
            method, params = random.choice((b"cancel", b"edit")), b'"order_id":%d' % random.randrange(60)
            if method == b"edit":
                params += b',"amount":%d,"price":1500000' % random.choice((100, 500, 2_000))
        elif what == 9:
            method, params = b"close_position", b'"instrument_id":"%b"' % CALL.encode()
        else:
            method, params = b"cancel_all", b""
        return b'{"jsonrpc":"2.0","id":%b,"method":"private/%b","params":{%b}}' % (request_id, method, params)

    def _batch(self) -> bytes:
        random = self.random
        count = random.choice((0, 1, 2, 3, 5, 10, BATCH_MAX, BATCH_MAX + 1) if random.random() < 0.2 else (1, 2, 3))
        parts = [self._request() for _ in range(count)]
        if random.random() < 0.05:
            parts.append(b"[%b]" % self._request())
        return random.choice((b"", b"", b" \n\t")) + b"[" + b",".join(parts) + b"]"

    def _garbage(self) -> bytes:
        random = self.random
        length = random.choice((0, 1, 2, 10, 100, 1_000))
        what = random.randrange(3)
        if what == 0:
            return random.randbytes(length)
        if what == 1:
            return bytes(random.choices(b'[]{}:,"\\ 01tfn', k=length))
        return b"".join(random.choices(SNIPPETS + _BYTES, k=min(length, 20)))

    def _long(self) -> bytes:
        """A frame of up to `FRAME_MAX` bytes: one long value, alone or at a random place in a request."""
        random = self.random
        text = self._request()
        run = self._run(random.choice((5_000, 20_000, FRAME_MAX - len(text) - 10)))
        values = [token for token in _TOKEN.finditer(text) if token[0] not in _MARKS and not _is_key(text, token)]
        members = list(_MEMBER.finditer(text))
        place = random.random()
        if place < 0.1:
            return run
        if place < 0.5 and members:
            member = random.choice(members)
            return text[: member.end()] + b"," + random.choice((*_KEYS, b'"y"')) + b":" + run + text[member.end() :]
        return self._replaced(text, values, run)

    def _run(self, size: int) -> bytes:
        """About `size` bytes of one thing many times; mostly a valid value."""
        random = self.random
        if random.random() < 0.2:
            piece = random.choice(
                (b"[", b'{"a":', b"1,", b'"a":1,', b"\\ud800", b" ", *SNIPPETS, *_BYTES, self._order())
            )
            return piece * (size // max(len(piece), 1))
        piece = random.choice((b"{}", b"[]", b"1", b'"a"', b'{"a":1}', b'{"a":{}}', self._order(), *SNIPPETS))
        if random.random() < 0.6:
            return b"[" + b",".join([piece] * (size // (len(piece) + 1))) + b"]"
        if random.random() < 0.6:
            count = size // (len(piece) + 9)
            return b"{" + b",".join(b'"%d":%b' % (n, piece) for n in range(count, 2 * count)) + b"}"
        piece = random.choice((b"x", b":", b"\\u0041", b'\\"', "\u00e9".encode(), b"\\ud83d\\ude00"))
        return random.choice((b'"%b"' % (piece * (size // len(piece))), b"1" * size, b"-0." + b"0" * size))

    def _with_other_value(self, text: bytes) -> bytes:
        tokens = [token for token in _TOKEN.finditer(text) if token[0] not in _MARKS and not _is_key(text, token)]
        return self._replaced(text, tokens, self.random.choice(SNIPPETS))

    def _with_other_token(self, text: bytes) -> bytes:
        return self._replaced(text, list(_TOKEN.finditer(text)), self.random.choice(SNIPPETS))

    def _with_other_key(self, text: bytes) -> bytes:
        tokens = [token for token in _TOKEN.finditer(text) if _is_key(text, token)]
        return self._replaced(text, tokens, self.random.choice(_KEYS))

    def _with_member_twice(self, text: bytes) -> bytes:
        members = list(_MEMBER.finditer(text))
        if not members:
            return text
        place, member = self.random.choice(members), self.random.choice(members)[0]
        if self.random.random() < 0.5:
            member = self.random.choice(_KEYS) + b":" + self.random.choice(SNIPPETS)
        return text[: place.end()] + b"," + member + text[place.end() :]

    def _with_other_byte(self, text: bytes) -> bytes:
        start = self.random.randrange(len(text) + 1)
        return text[:start] + self.random.choice(_BYTES) + text[start + self.random.randrange(3) :]

    def _without_token(self, text: bytes) -> bytes:
        return self._replaced(text, list(_TOKEN.finditer(text)), b"")

    def _cut(self, text: bytes) -> bytes:
        place = self.random.randrange(len(text) + 1)
        return text[:place] if self.random.random() < 0.5 else text[place:]

    def _spliced(self, text: bytes) -> bytes:
        other = self._of_any_method()
        return text[: self.random.randrange(len(text) + 1)] + other[self.random.randrange(len(other) + 1) :]

    def _with_piece_repeated(self, text: bytes) -> bytes:
        start = self.random.randrange(len(text) + 1)
        end = start + self.random.randrange(40)
        return text[:start] + text[start:end] * self.random.randrange(2, 6) + text[end:]

    def _replaced(self, text: bytes, tokens: list[re.Match[bytes]], by: bytes) -> bytes:
        if not tokens:
            return text
        token = self.random.choice(tokens)
        return text[: token.start()] + by + text[token.end() :]
