"""Decides which account a client may enter, from its secret or its signature."""

import hmac
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from exchange.keys.account_ids import AccountIds
from exchange.keys.key import ADMIN, LEVELS, TRADE, Key, is_key_id, user_of
from exchange.keys.key_file import KeyFileError, key_path, read_keys, read_uses, write_uses
from exchange.keys.nonces import UsedNonces
from exchange.keys.signature import signature_of
from exchange.keys.throttle import Throttle

_log = logging.getLogger(__name__)

# Compared with if there is no key, so that an answer takes as long as if there were one.
_NO_SECRET = "x" * 43


class CredentialsError(Exception):
    """The client may not enter the account; the message says why."""


class Login(NamedTuple):
    """The account that a client entered, its rights as a level, and the key that opened it.

    Without a key, the administrator's secret opened it (`by_admin`), or it had no keys.
    """

    user_id: str
    level: int
    key: Key | None = None
    by_admin: bool = False


class SignedRequest(NamedTuple):
    """What a client signed, and the signature."""

    timestamp_ms: int
    nonce: str
    data: str
    signature: str


def _system_us() -> int:
    return time.time_ns() // 1_000


class Credentials:
    """The keys of the journal at `path` (None: there are none), and the administrator's secret.

    The administrator's secret opens every account. An account without keys is open to all, unless `needs_keys`.
    `now_us` is the system's clock, because clients sign with theirs. Raises KeyFileError or OSError.
    """

    def __init__(
        self,
        path: Path | None = None,
        admin_secret: str | None = None,
        needs_keys: bool = False,
        now_us: Callable[[], int] = _system_us,
    ) -> None:
        self.throttle = Throttle()
        self.account_ids = AccountIds()
        self.needs_keys = needs_keys
        self._path = path
        self._admin_secret = admin_secret
        self._now_us = now_us
        self._nonces = UsedNonces(now_us() // 1_000)
        self._version = self._version_now()
        self._take(read_keys(path) if path else [])
        self._uses = read_uses(path) if path else {}
        self._has_new_uses = False

    @property
    def has_keys(self) -> bool:
        """True if at least one account has a key."""
        return bool(self._of_user)

    def log_in(self, client_id: str, secret: str | None) -> Login:
        """The account that a secret opens. Raises CredentialsError."""
        self._reload()
        user_id = user_of(client_id)
        given = (secret or "").encode()
        if not is_key_id(client_id):
            if self._admin_secret and hmac.compare_digest(given, self._admin_secret.encode()):
                return Login(user_id, ADMIN if user_id == "admin" else TRADE, by_admin=True)
            if user_id not in self._of_user:
                return self._without_key(user_id)
        fitting = None
        for key in self._candidates(client_id):
            # All are compared, so that the time does not tell which one fits.
            if hmac.compare_digest(given, (key.secret if key and key.secret else _NO_SECRET).encode()) and key:
                fitting = key
        if fitting is None or not fitting.secret:
            raise CredentialsError(_why_wrong(client_id, secret))
        return self._enter(fitting)

    def log_in_signed(self, client_id: str, request: SignedRequest) -> Login:
        """The account that a signature opens. Raises CredentialsError."""
        self._reload()
        if not is_key_id(client_id):
            raise CredentialsError(f"client_id {client_id!r} is a user: a signature needs the client id of a key")
        if "\n" in request.nonce:
            # The same signature would fit another nonce, with more or fewer lines of the data in it.
            raise CredentialsError("nonce has more than one line: send one without a line feed")
        key = self._keys.get(client_id)
        secret = key.secret if key and key.secret else _NO_SECRET
        timestamp_ms, nonce, data, signature = request
        is_genuine = hmac.compare_digest(signature_of(secret, timestamp_ms, nonce, data).encode(), signature.encode())
        if not is_genuine or key is None or not key.secret:
            raise CredentialsError(
                "wrong client_id or signature: sign timestamp, nonce and data, each on a line of its own"
            )
        refused = self._nonces.why_refused(client_id, timestamp_ms, nonce, self._now_us() // 1_000)
        if refused is not None:
            raise CredentialsError(refused)
        return self._enter(key)

    def why_ended(self, login: Login) -> str | None:
        """Why a login is not valid any more; None if it is."""
        if login.by_admin:
            return None
        if login.key is None:
            return f"{login.user_id} has a key now: log in with it" if login.user_id in self._of_user else None
        key = self._keys.get(login.key.client_id)
        state = "revoked" if key is None else key.state(self._now_us())
        return None if state == "valid" else f"the key {login.key.client_id} is {state}"

    def refresh(self) -> None:
        """Read the keys again if their file has changed, and write the times of the last uses. Call it every second."""
        self.save()
        self._reload()

    def save(self) -> None:
        """Write the times of the last uses, if there are new ones."""
        if self._path is None or not self._has_new_uses:
            return
        self._has_new_uses = False
        try:
            write_uses(self._path, self._uses)
        except OSError as error:
            _log.warning("the times of the last uses of keys were not written: %s", error)

    def _reload(self) -> None:
        """Read the keys again if their file has changed."""
        version = self._version_now()
        if self._path is None or version == self._version:
            return
        if version is None:
            _log.warning("%s is gone: the keys that it had stay valid until it is there again", key_path(self._path))
        else:
            try:
                self._take(read_keys(self._path))
                _log.info("read %d keys from %s", len(self._keys), key_path(self._path))
            except (KeyFileError, OSError) as error:
                _log.warning("the keys were not read again, those from before stay valid: %s", error)
        self._version = version

    def _take(self, keys: list[Key]) -> None:
        self._keys = {key.client_id: key for key in keys}
        self._of_user: dict[str, list[Key]] = {}
        for key in keys:
            self._of_user.setdefault(key.user_id, []).append(key)

    def _version_now(self) -> tuple[int, int, int] | None:
        """Changes with each change of the file or of its mode; None without a file."""
        if self._path is None:
            return None
        try:
            found = os.stat(key_path(self._path))
        except OSError:
            return None
        return found.st_ino, found.st_ctime_ns, found.st_size

    def _candidates(self, client_id: str) -> list[Key | None]:
        """The keys whose secret may be meant: the one with this id, or all of this user; never an empty list."""
        if is_key_id(client_id):
            return [self._keys.get(client_id)]
        return list(self._of_user[client_id])

    def _without_key(self, user_id: str) -> Login:
        """Enter an account that has no keys. Raises CredentialsError."""
        if user_id == "admin":
            raise CredentialsError(
                "wrong client_secret: the administrator's secret is in the file JOURNAL.admin next to the journal"
            )
        if self.needs_keys:
            raise CredentialsError(
                f"this exchange opens no account without a key, and {user_id!r} has none: the administrator makes one "
                f"with `exchange account secret {user_id}`"
            )
        return Login(user_id, TRADE)

    def _enter(self, key: Key) -> Login:
        now_us = self._now_us()
        if (state := key.state(now_us)) != "valid":
            raise CredentialsError(f"the key {key.client_id} is {state}: use another one")
        self._uses[key.client_id] = now_us
        self._has_new_uses = True
        return Login(key.user_id, LEVELS[key.right], key)


def _why_wrong(client_id: str, secret: str | None) -> str:
    if secret is None and not is_key_id(client_id):
        return f"{client_id!r} has a key: log in with its client_id and client_secret"
    return "wrong client_id or client_secret"
