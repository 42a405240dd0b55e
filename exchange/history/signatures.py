"""Ed25519 signatures with a key that is stored next to the journal. Needs the extra `proof` (cryptography).

The library is cryptography and not PyNaCl: it keeps keys as PEM, which OpenSSL reads, so that an auditor can check a
signature without this program. It is typed and released often.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exchange.atomic_write import create_private
from exchange.journal.errors import JournalError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class MissingSignaturesError(JournalError):
    """The library for signatures is not installed."""


def key_file(path: Path) -> Path:
    """The file with the private key, next to the journal at `path`."""
    return path.with_name(path.name + ".signing-key")


def sign(path: Path, text: bytes) -> bytes:
    """Sign with the key of the journal at `path`, and create the key first if there is none. Raises JournalError."""
    return _private_key(path).sign(text)


def public_key(path: Path) -> bytes:
    """The public key of the journal at `path`, 32 bytes. Creates the key if there is none. Raises JournalError."""
    return _private_key(path).public_key().public_bytes_raw()


def is_signed(text: bytes, signature: bytes, by_public_key: bytes) -> bool:
    """True if the owner of the public key signed the text. Raises MissingSignaturesError."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise _missing(error) from error
    try:
        Ed25519PublicKey.from_public_bytes(by_public_key).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
            load_pem_private_key,
        )
    except ImportError as error:
        raise _missing(error) from error
    file = key_file(path)
    if not file.exists():
        new = Ed25519PrivateKey.generate()
        create_private(file, new.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise _unusable(file) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(file)
    return key


def _unusable(file: Path) -> JournalError:
    return JournalError(
        f"{file} is not an Ed25519 key in PEM form: restore it, or move it away so that a new key is created; "
        "holders of earlier checkpoints know only the earlier key"
    )


def _missing(error: ImportError) -> MissingSignaturesError:
    return MissingSignaturesError(
        f"signatures need the extra `proof` ({error}): pip install 'event-sourced-exchange[proof]'"
    )
