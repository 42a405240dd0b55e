"""The files of the screen, which a browser gets at `/` and below: the pages, their scripts and their styles.

`make web` builds them from `exchange/web` into its folder `dist`, and the wheel holds them. The names below `assets/`
change with the content, so a browser may keep those files for ever; it asks for a page each time.
"""

from __future__ import annotations

import gzip
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent.parent / "web" / "dist"
# The addresses of the pages. One file holds all of them, and its script looks at the address.
PAGES = ("/", "/account", "/results", "/operate", "/api")

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
# Nothing is loaded from, sent to or framed by another site. `'self'` includes the WebSocket of the same address.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
_NOT_BUILT = """\
The exchange is running. Its screen is not built yet.

In a clone of the project, type:

    make web

and load this page again.
Programs connect to this address with a WebSocket.
"""


class ScreenAnswer(NamedTuple):
    """An answer to a browser."""

    status: HTTPStatus
    body: bytes
    headers: tuple[tuple[str, str], ...]


class _File(NamedTuple):
    """A file as it was read, and the time of its last change then."""

    changed_ns: int
    body: bytes
    zipped: bytes


class Screen:
    """The files in `folder`. Each is read when a browser first asks for it, and again when it has changed."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._files: dict[str, _File] = {}

    def answer(self, path: str, accepts_gzip: bool) -> ScreenAnswer:
        """Answer a GET of `path`, which has no query."""
        name = "index.html" if path in PAGES else path.removeprefix("/")
        if (file := self._read(name)) is None:
            if path in PAGES:
                return _text(HTTPStatus.OK, _NOT_BUILT)
            return _text(HTTPStatus.NOT_FOUND, f"nothing is served at {path:.100}\n")
        keep = "public, max-age=31536000, immutable" if name.startswith("assets/") else "no-cache"
        headers = (("Content-Type", _TYPES[Path(name).suffix]), ("Cache-Control", keep), ("Vary", "Accept-Encoding"))
        if accepts_gzip:
            return ScreenAnswer(HTTPStatus.OK, file.zipped, (*headers, ("Content-Encoding", "gzip"), *_HEADERS))
        return ScreenAnswer(HTTPStatus.OK, file.body, (*headers, *_HEADERS))

    def _read(self, name: str) -> _File | None:
        """The file of this name; None if there is none. Only names that the folder lists are opened."""
        if not (known := self._files.get(name)) and name not in self._names():
            return None
        path = self._folder / name
        try:
            changed_ns = path.stat().st_mtime_ns
            if known is None or known.changed_ns != changed_ns:
                body = path.read_bytes()
                # The time 0 makes equal files equal.
                known = self._files[name] = _File(changed_ns, body, gzip.compress(body, mtime=0))
        except OSError:
            # It was deleted by a new build.
            self._files.pop(name, None)
            return None
        return known

    def _names(self) -> set[str]:
        found = (path for path in self._folder.rglob("*") if path.suffix in _TYPES and path.is_file())
        return {path.relative_to(self._folder).as_posix() for path in found}


def _text(status: HTTPStatus, text: str) -> ScreenAnswer:
    headers = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"), *_HEADERS)
    return ScreenAnswer(status, text.encode(), headers)
