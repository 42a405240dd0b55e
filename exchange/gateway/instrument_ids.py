"""Finds instruments by the ids that clients use."""

from exchange.domain.instruments import parse_instrument_id
from exchange.domain.reasons import Reason
from exchange.gateway.jsonrpc import refused
from exchange.projections.views import Views


def canonical_id(instrument_id: str, views: Views) -> str:
    """The canonical spelling of an instrument id (`03MAR26` is `3MAR26`); unchanged if it is not an instrument id."""
    if instrument_id in views.instruments:
        return instrument_id
    try:
        return parse_instrument_id(instrument_id).instrument_id
    except ValueError:
        return instrument_id


def canonical_id_or_none(instrument_id: str | None, views: Views) -> str | None:
    return None if instrument_id is None else canonical_id(instrument_id, views)


def listed_id(instrument_id: str, views: Views) -> str:
    """The canonical id of a listed instrument, expired ones included.

    Raises RpcError 1004 if it never was listed, and 1009 if it no longer is.
    """
    instrument_id = canonical_id(instrument_id, views)
    if instrument_id not in views.instruments:
        raise refused(views.why_not_listed(instrument_id))
    return instrument_id


def known_id(instrument_id: str, views: Views) -> str:
    """The same for questions about the past: an instrument that is no longer listed has one."""
    instrument_id = canonical_id(instrument_id, views)
    if instrument_id not in views.instruments and views.why_not_listed(instrument_id) is Reason.INSTRUMENT_NOT_FOUND:
        raise refused(Reason.INSTRUMENT_NOT_FOUND)
    return instrument_id


def known_id_or_none(instrument_id: str | None, views: Views) -> str | None:
    return None if instrument_id is None else known_id(instrument_id, views)
