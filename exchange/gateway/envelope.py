"""The JSON object around the parameters of a request."""

from typing import Literal

import msgspec


class EnvelopeOfAnyVersion(msgspec.Struct, gc=False):
    """As `Envelope`, also without the version of JSON-RPC."""

    method: str
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Envelope(msgspec.Struct, gc=False):
    """A JSON-RPC request or notification, whose parameters are still raw JSON."""

    jsonrpc: Literal["2.0"]
    method: str
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
