"""Which user ids new accounts may have. Accounts that exist keep theirs, and the matcher knows none of this."""

from collections.abc import Iterable
from itertools import islice

from exchange.domain.units import RESERVED_USERS

# Characters that look alike in many fonts, as one of them. User ids have no others than letters, digits and `_ . @ -`.
_ALIKE = str.maketrans(
    {"0": "o", "1": "l", "i": "l", "3": "e", "4": "a", "@": "a", "5": "s", "_": "", ".": "", "-": ""}
)


class AccountIds:
    """The canonical ids of all accounts. `user_ids` is the growing list of the accounts of an exchange."""

    def __init__(self) -> None:
        self._user_of: dict[str, str] = {}
        self._seen = 0

    def why_refused(self, user_id: str, user_ids: Iterable[str], count: int) -> str | None:
        """Why no account may be opened with this id; None if it may. `count` is the length of `user_ids`.

        Reads those user ids alone that came since the last call.
        """
        if count < self._seen:
            self._user_of, self._seen = {}, 0
        for known in islice(user_ids, self._seen, None):
            self._user_of.setdefault(canonical_form(known), known)
        self._seen = count
        if (reason := why_reserved(user_id)) is not None:
            return reason
        known_as = self._user_of.get(canonical_form(user_id))
        if known_as is not None and known_as != user_id:
            return f"{user_id!r} differs from the account {known_as!r} in upper and lower case alone: use {known_as!r}"
        return None


def canonical_form(user_id: str) -> str:
    """The form that all spellings of a user id share."""
    return user_id.casefold()


def why_reserved(user_id: str) -> str | None:
    """Why no account may have this id, which looks like one of the exchange's own; None if it may."""
    for reserved in RESERVED_USERS:
        if user_id != reserved and _skeleton(user_id) == _skeleton(reserved):
            return f"{user_id!r} looks like {reserved!r}, an account of the exchange itself: choose another name"
    return None


def _skeleton(user_id: str) -> str:
    """The id with one character for all that look alike. Source: the idea of Unicode's UTS 39, for ASCII."""
    return canonical_form(user_id).replace("rn", "m").translate(_ALIKE)
