"""The interface between a session and the service that replays what it missed."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

# Receives the channel name and the text of each replayed notification.
Take = Callable[[str, bytes], None]
# Called once at the end: with None, or with the reason why the rest cannot be replayed, in at most 120 characters.
Done = Callable[[str | None], None]


class CatchUpRequest(NamedTuple):
    """The notifications of commands `from_seq` to `up_to`, both included, on stream channels as `user_id` sees them."""

    from_seq: int
    up_to: int
    user_id: str
    channels: tuple[str, ...]


class CatchUpHandle(Protocol):
    """Controls a catch-up that has started."""

    def pause(self, is_paused: bool) -> None:
        """Stop delivering for now, or continue."""
        ...

    def end(self) -> None:
        """Cancel it. Its callbacks are not called after this."""
        ...
