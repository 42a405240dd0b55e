"""A key in the hands of a client: the file that holds it, and the login that it signs."""

import secrets
import time
from pathlib import Path
from typing import Any

import msgspec

from exchange.keys.key import is_key_id, user_of
from exchange.keys.key_file import KeyFileError, read_private
from exchange.keys.signature import signature_of

_EXPECTED = 'expected {"client_id": ..., "client_secret": ...}, as `exchange account secret USER --out FILE` writes it'


class ClientKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """A client id with its secret, and the URL of the exchange; None: the client knows it from elsewhere."""

    client_id: str
    client_secret: str
    url: str | None = None

    @property
    def user_id(self) -> str:
        """The user whose account it opens."""
        return user_of(self.client_id)

    def login(self) -> dict[str, Any]:
        """The parameters of `public/auth`: a signature of the time now, so that the secret is not sent."""
        timestamp_ms, nonce = time.time_ns() // 1_000_000, secrets.token_hex(16)
        return {
            "grant_type": "client_signature",
            "client_id": self.client_id,
            "timestamp": timestamp_ms,
            "nonce": nonce,
            "signature": signature_of(self.client_secret, timestamp_ms, nonce),
        }


def read_client_key(file: Path) -> ClientKey:
    """Read a key from a file. Raises KeyFileError if it holds none or others can read it; OSError too."""
    text = read_private(file)
    try:
        key = msgspec.json.decode(text, type=ClientKey)
    except msgspec.DecodeError as error:
        raise KeyFileError(f"{file} holds no key ({error}): {_EXPECTED}") from None
    if not is_key_id(key.client_id):
        raise KeyFileError(f"{file}: {key.client_id!r:.100} is not the client id of a key: {_EXPECTED}")
    return key
