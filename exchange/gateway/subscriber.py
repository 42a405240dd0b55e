"""A subscriber of channels, as the channels see it."""

from typing import Protocol

from exchange.gateway.channels import Channel


class Subscriber(Protocol):
    """A connection that subscribes to channels."""

    @property
    def user_id(self) -> str: ...

    @property
    def subscribed(self) -> dict[str, Channel]:
        """The channels it has subscribed to, by name."""
        ...

    def notify(self, channel_name: str, text: bytes) -> None:
        """Send a live notification."""
        ...
