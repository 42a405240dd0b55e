"""TLS: the context of the server, which takes new certificates while it runs, and that of a client on the same machine.

A client on the same machine trusts exactly the certificate that the server left next to the journal, so that it needs
neither an authority nor the host name of the certificate.
"""

import ssl
from pathlib import Path
from typing import NamedTuple

from exchange.atomic_write import write_atomic
from exchange.keys.key_file import KeyFileError


class TlsFiles(NamedTuple):
    """A certificate with its chain, and its private key; both in PEM format."""

    certificate: Path
    key: Path


class ServerTls:
    """The context of a server on this journal. Raises KeyFileError if the files hold no certificate with its key."""

    def __init__(self, files: TlsFiles, journal: Path) -> None:
        self._files = files
        self._journal = journal
        self.context = _server_context()
        _load(self.context, files)

    def reload(self) -> None:
        """Use the certificate in the files now for new connections. Raises KeyFileError, and keeps the old one then."""
        # A context that loads files that do not fit would be left with half of them.
        _load(_server_context(), self._files)
        _load(self.context, self._files)
        self.publish()

    def publish(self) -> None:
        """Leave a copy of the certificate next to the journal, for clients on this machine. Raises OSError."""
        write_atomic(certificate_path(self._journal), self._files.certificate.read_bytes(), 0o600)


def certificate_path(journal: Path) -> Path:
    """The copy of the server's certificate next to the journal at this path."""
    return journal.with_name(journal.name + ".certificate")


def local_context(url: str, journal: Path) -> ssl.SSLContext | None:
    """The context of a client of the exchange on this journal, which runs on this machine; None if it uses no TLS."""
    file = certificate_path(journal)
    if not url.startswith("wss:") or not file.exists():
        return None
    context = ssl.create_default_context(cafile=file)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Load the certificate and its key. Raises KeyFileError."""
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except ssl.SSLError as error:
        raise KeyFileError(
            f"{files.certificate} and {files.key} are not a certificate and its private key in PEM format without a "
            f"password ({error.reason or error})"
        ) from error
    except OSError as error:
        raise KeyFileError(f"{error.filename or files.certificate}: {error.strerror}") from error


def _no_password() -> str:
    """OpenSSL would ask the terminal for the password of an encrypted key."""
    return ""
