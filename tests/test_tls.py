"""TLS, addresses that other machines reach, and the administrator's secret."""

import asyncio
import datetime
import os
import signal
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exchange.client import ExchangeError, connect
from exchange.keys.key_file import KeyFileError
from exchange.keys.tls import ServerTls, TlsFiles, certificate_path, local_context
from exchange.runtime.server_settings import admin_secret, admin_secret_file
from tests.cli_support import Server, complained, exchange, said


def make_certificate(folder: Path, name: str) -> TlsFiles:
    """A certificate for exchange.example that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "exchange.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("exchange.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = TlsFiles(folder / f"{name}.crt", folder / f"{name}.key")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    no_password = serialization.NoEncryption()
    encoded = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password)
    files.key.write_bytes(encoded)
    return files


def serial_number(url: str, trusted: Path) -> int:
    """The serial number of the certificate that a server shows, which must be the trusted one."""
    port = int(url.rstrip("/").rpartition(":")[2])
    shown = ssl.get_server_certificate(("127.0.0.1", port))
    assert shown.strip() == trusted.read_text().strip()
    return x509.load_pem_x509_certificate(shown.encode()).serial_number


@pytest.mark.slow
def test_other_machines_need_tls_and_a_key(tmp_path: Path) -> None:
    """As in docs/security.md: all addresses, TLS, keys for all; the owner's commands still need neither."""
    files, path = make_certificate(tmp_path, "server"), tmp_path / "exchange.db"
    options = ("--host", "0.0.0.0", "--tls-cert", files.certificate, "--tls-key", files.key, "--demo")
    with Server(path, *options, "--clock-start", "2026-02-27T09:00:00Z") as server:
        assert server.url.startswith("wss://127.0.0.1:")
        assert "every account needs a key" in server.errors
        assert "order 1" in said(
            exchange("order", "buy", "SOL_USDC-28FEB26-150-C", 1, "1.50", "--user", "alice", "--db", path)
        )
        first = serial_number(server.url, files.certificate)

        async def connect_as_stranger(tls: ssl.SSLContext | None) -> None:
            async with connect(server.url, "bob", reconnects=False, tls=tls):
                pass

        with pytest.raises(ExchangeError, match="opens no account without a key"):
            asyncio.run(connect_as_stranger(local_context(server.url, path)))
        with pytest.raises(ExchangeError, match="certificate verify failed"):
            asyncio.run(connect_as_stranger(None))
        with pytest.raises(ExchangeError, match="cannot connect"):
            asyncio.run(connect_as_stranger(ssl.create_default_context(cafile=files.certificate)))
        renewed = make_certificate(tmp_path, "renewed")
        os.replace(renewed.key, files.key)
        # The certificate does not fit its new key yet: the old one stays.
        server.process.send_signal(signal.SIGHUP)
        while "was not taken again" not in server.errors:
            assert server.process.poll() is None
        assert serial_number(server.url, certificate_path(path)) == first
        os.replace(renewed.certificate, files.certificate)
        server.process.send_signal(signal.SIGHUP)
        while "took the certificate again" not in server.errors:
            assert server.process.poll() is None
        assert serial_number(server.url, files.certificate) != first
        assert "alice" in said(exchange("account", "show", "alice", "--db", path))
        assert server.stop()[0] == 0
    assert "Traceback" not in server.errors and "eof_received" not in server.errors


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--host", "0.0.0.0"), "other machines can connect to '0.0.0.0': add --tls-cert and --tls-key"),
        (("--host", "192.0.2.1", "--require-keys"), "other machines can connect to '192.0.2.1'"),
        (("--host", "::"), "other machines can connect to '::'"),
        (("--tls-cert", "server.crt"), "belong together"),
        (("--tls-key", "server.key"), "belong together"),
        (("--tls-cert", "none", "--tls-key", "server.key"), "'none' does not exist"),
        (("--tls-cert", "server.key", "--tls-key", "server.crt"), "are not a certificate and its private key"),
        (("--tls-cert", "server.crt", "--tls-key", "other.key"), "are not a certificate and its private key"),
    ],
)
def test_wrong_options_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("server", "other"):
        make_certificate(tmp_path, name)
    assert error in complained(exchange("serve", "--port", 0, *options), 2)


def test_a_key_with_a_password_does_not_ask_the_terminal(tmp_path: Path) -> None:
    files = make_certificate(tmp_path, "server")
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"password")
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret))
    with pytest.raises(KeyFileError, match="without a password"):
        ServerTls(files, tmp_path / "exchange.db")


@pytest.mark.parametrize(
    ("content", "mode", "error"),
    [
        (b"a-long-enough-secret", 0o640, "has mode 0640: .* Run `chmod 600"),
        (b"a-long-enough-secret", 0o604, "has mode 0604: .* Run `chmod 600"),
        (b"short", 0o600, "one word of at least 16 characters"),
        (b"two words, which are long", 0o600, "one word of at least 16 characters"),
        (b"\x00" * 20, 0o600, "is not a text"),
        (b"\xff\xfe" + b"x" * 20, 0o600, "is not a text"),
    ],
)
def test_a_bad_administrators_secret_is_refused(tmp_path: Path, content: bytes, mode: int, error: str) -> None:
    path = tmp_path / "exchange.db"
    admin_secret_file(path).write_bytes(content)
    admin_secret_file(path).chmod(mode)
    with pytest.raises(KeyFileError, match=error):
        admin_secret(path)
    stated = complained(exchange("serve", "--port", 0, "--db", path), 2)
    assert str(admin_secret_file(path)) in stated
    assert content == admin_secret_file(path).read_bytes()
