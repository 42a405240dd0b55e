"""A key: a client id and a secret that open one account, with one of three rights."""

import re
import secrets
from typing import Literal

import msgspec

# Each right includes those before it.
Right = Literal["read", "trade", "admin"]
RIGHTS: tuple[Right, ...] = ("read", "trade", "admin")

# What a connection may do, as a number: it may call a method whose level is not higher.
NOBODY, READ, TRADE, ADMIN = range(4)
LEVELS: dict[Right, int] = {"read": READ, "trade": TRADE, "admin": ADMIN}

# The id of a key is the user id, a colon and eight hexadecimal digits. No user id contains a colon.
CLIENT_ID_PATTERN = r"^[A-Za-z0-9_.@-]{1,64}(:[0-9a-f]{8})?\Z"
_KEY_ID = re.compile(r"([A-Za-z0-9_.@-]{1,64}):[0-9a-f]{8}")
SECRET_BYTES = 32


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """`expires_us`: its end, a time in µs; None: it has none. A revoked key has no secret any more.

    The secret is kept as it is, because the check of a signature needs it.
    """

    client_id: str
    secret: str
    right: Right
    created_us: int
    expires_us: int | None = None
    revoked_us: int | None = None

    @property
    def user_id(self) -> str:
        """The user whose account it opens."""
        return user_of(self.client_id)

    def revoked(self, now_us: int) -> "Key":
        """This key without its secret. It stays in the file, so that its account never opens without a key."""
        return msgspec.structs.replace(self, secret="", revoked_us=now_us)

    def state(self, now_us: int) -> Literal["valid", "expired", "revoked"]:
        """Whether it opens its account now."""
        if self.revoked_us is not None:
            return "revoked"
        return "valid" if self.expires_us is None or now_us < self.expires_us else "expired"


def new_key(user_id: str, right: Right, created_us: int, expires_us: int | None = None) -> Key:
    """Make a key with a secret of 256 random bits."""
    client_id = f"{user_id}:{secrets.token_hex(4)}"
    return Key(client_id, secrets.token_urlsafe(SECRET_BYTES), right, created_us, expires_us)


def is_key_id(client_id: str) -> bool:
    """True for the id of a key, False for a user id."""
    return _KEY_ID.fullmatch(client_id) is not None


def user_of(client_id: str) -> str:
    """The user id in a client id, which is a user id itself or the id of a key."""
    return client_id.partition(":")[0]
