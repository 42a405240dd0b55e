"""The AsyncAPI document: each kind of channel, its address, and the messages that it sends."""

from typing import Any, NamedTuple

from exchange import __version__
from exchange.gateway.book_feeds import BookChange, BookSnapshot
from exchange.gateway.channels import Channel, Kind
from exchange.gateway.limits import BOOK_DEPTH_MAX
from exchange.gateway.schemas import Schema, schemas_of
from exchange.projections.candles import RESOLUTIONS
from exchange.projections.wire_types import (
    Balance,
    Candles,
    IndexPrice,
    Instrument,
    MarketStatus,
    MarkSurface,
    MmpTriggerView,
    OrderView,
    PositionView,
    Settlement,
    SharedLoss,
    Ticker,
    TopOfBook,
    Trade,
    UserChanges,
    UserTrade,
)

ASYNCAPI_VERSION = "3.0.0"


class ChannelKind(NamedTuple):
    """Address with its parameters in braces, a sentence, and the types of `data` by the name of the message."""

    address: str
    summary: str
    messages: dict[str, Any]


CHANNEL_KINDS: dict[Kind, ChannelKind] = {
    "book": ChannelKind(
        "book.{instrument_id}.{depth}",
        "The order book: first a snapshot, then the levels that changed. One change may cover several commands.",
        {"snapshot": BookSnapshot, "change": BookChange},
    ),
    "tickers": ChannelKind(
        "tickers.{instrument_id}",
        "The complete ticker: at once, then after each change. One message may cover several commands.",
        {"ticker": Ticker},
    ),
    "quote": ChannelKind(
        "quote.{instrument_id}",
        "Best bid and best ask: at once, then after each change. One message may cover several commands.",
        {"quote": TopOfBook},
    ),
    "tickers.asset": ChannelKind(
        "tickers.{asset}",
        "The tickers of all instruments on the asset that have not expired: at once, then those that changed.",
        {"tickers": list[Ticker]},
    ),
    "quote.asset": ChannelKind(
        "quote.{asset}",
        "Best prices of all instruments on the asset that have not expired: at once, then those that changed.",
        {"quotes": list[TopOfBook]},
    ),
    "candles": ChannelKind(
        "candles.{instrument_id}.{resolution}",
        "Candles of the instrument's trades: the running one at once and after each change, and each one that began.",
        {"candles": Candles},
    ),
    "candles.asset": ChannelKind(
        "candles.{asset}.{resolution}",
        "Candles of the index of the asset: the running one at once and after each change, and each one that began.",
        {"candles": Candles},
    ),
    "trades": ChannelKind("trades.{instrument_id}", "The trades that one command caused.", {"trades": list[Trade]}),
    "trades.asset": ChannelKind(
        "trades.{asset}",
        "The trades that one command caused in all instruments on the asset.",
        {"trades": list[Trade]},
    ),
    "index": ChannelKind("index.{asset}", "Each new index price of the asset.", {"index": IndexPrice}),
    "surface": ChannelKind(
        "surface.{asset}", "The volatility surface of the asset, if one command changed it.", {"surface": MarkSurface}
    ),
    "instruments": ChannelKind(
        "instruments.{asset}",
        "The instruments that one command listed, paused, resumed, closed or settled.",
        {"instruments": list[Instrument]},
    ),
    "settlement": ChannelKind(
        "settlement", "The series that one command settled, or could not settle.", {"settlements": list[Settlement]}
    ),
    "losses": ChannelKind(
        "losses", "The loss of a settlement that its winners bore, and what they had won.", {"losses": SharedLoss}
    ),
    "status": ChannelKind("status", "The start and the end of a halt.", {"status": MarketStatus}),
    "user.orders": ChannelKind(
        "user.orders", "Each order of the user that one command changed.", {"orders": list[OrderView]}
    ),
    "user.trades": ChannelKind(
        "user.trades", "The trades of the user that one command caused.", {"trades": list[UserTrade]}
    ),
    "user.positions": ChannelKind(
        "user.positions",
        "All positions of the user at once, then each one whose quantity or lock one command changed.",
        {"positions": list[PositionView]},
    ),
    "user.balance": ChannelKind(
        "user.balance", "The balance of the user at once, then if one command changed it.", {"balance": Balance}
    ),
    "user.changes": ChannelKind(
        "user.changes",
        "The orders and positions of the user that one command changed, and the trades that it made, in one message.",
        {"changes": UserChanges},
    ),
    "user.mmp_trigger": ChannelKind(
        "user.mmp_trigger",
        "The MMP groups of the user whose fills reached a limit, so that their quotes were cancelled.",
        {"mmp_triggers": list[MmpTriggerView]},
    ),
    "user.losses": ChannelKind(
        "user.losses",
        "The user's share of the loss of a settlement, and what the user had won.",
        {"losses": SharedLoss},
    ),
}
_PARAMETERS = {
    "instrument_id": {"description": "Id of a listed instrument.", "examples": ["SOL_USDC-28FEB26-150-C"]},
    "asset": {"description": "Asset of the options.", "examples": ["SOL"]},
    "resolution": {
        "description": f"Length of the intervals: {', '.join(RESOLUTIONS)}.",
        "examples": ["1m"],
    },
    "depth": {
        "description": f"Maximum number of price levels on each side, 1 to {BOOK_DEPTH_MAX}.",
        "examples": ["10"],
    },
}
_HEARTBEAT = {
    "address": None,
    "summary": "The question to a client that is silent. It must answer with public/test.",
    "messages": {
        "test_request": {
            "name": "test_request",
            "payload": {
                "type": "object",
                "required": ["jsonrpc", "method", "params"],
                "properties": {
                    "jsonrpc": {"const": "2.0"},
                    "method": {"const": "heartbeat"},
                    "params": {
                        "type": "object",
                        "required": ["type"],
                        "properties": {"type": {"const": "test_request"}},
                    },
                },
            },
        }
    },
}


def asyncapi_document() -> dict[str, Any]:
    """The document, of values that JSON and YAML have."""
    types = [type_ for kind in CHANNEL_KINDS.values() for type_ in kind.messages.values()]
    schemas, components = schemas_of(types)
    data = iter(schemas)
    channels: dict[str, Any] = {
        _key(kind): _channel(kind, described, {name: next(data) for name in described.messages})
        for kind, described in CHANNEL_KINDS.items()
    }
    channels["heartbeat"] = _HEARTBEAT
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "Event-sourced exchange: channels",
            "version": __version__,
            "description": (
                "Notifications on the WebSocket connection. public/subscribe of the JSON-RPC methods (openrpc.json) "
                "subscribes to channels by their address. protocol.md explains the order of messages."
            ),
            "license": {"name": "MIT"},
        },
        "servers": {"local": {"host": "127.0.0.1:8765", "protocol": "ws", "pathname": "/"}},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            f"send_{key}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{key}"},
                "summary": channel["summary"],
            }
            for key, channel in channels.items()
        },
        "components": {"schemas": components},
    }


def _channel(kind: Kind, described: ChannelKind, data: dict[str, Schema]) -> dict[str, Any]:
    channel = Channel(described.address, kind)
    document: dict[str, Any] = {"address": described.address, "summary": described.summary}
    if channel.is_private:
        document["description"] = "It needs public/auth first."
    document["messages"] = {
        name: {"name": name, "payload": _notification(channel, schema)} for name, schema in data.items()
    }
    parameters = {name: text for name, text in _PARAMETERS.items() if f"{{{name}}}" in described.address}
    if parameters:
        document["parameters"] = parameters
    return document


def _notification(channel: Channel, data: Schema) -> Schema:
    """The whole notification. Those of streams have the `seq` of the command that they are about."""
    params: Schema = {"channel": {"type": "string", "description": "Name of the channel."}}
    if channel.is_stream:
        params["seq"] = {"type": "integer", "description": "Sequence number of the command that caused the message."}
    params["data"] = data
    return {
        "type": "object",
        "required": ["jsonrpc", "method", "params"],
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "method": {"const": "subscription"},
            "params": {
                "type": "object",
                "required": list(params),
                "properties": params,
                "additionalProperties": False,
            },
        },
        "additionalProperties": False,
    }


def _key(kind: Kind) -> str:
    return kind.replace(".", "_")
