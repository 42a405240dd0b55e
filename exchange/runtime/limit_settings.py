"""Limits as operators write them: a TOML or JSON file of `GatewayLimits`."""

import ipaddress
from pathlib import Path

import msgspec

from exchange.gateway.limits import GatewayLimits
from exchange.outside_text import TableError, read_table
from exchange.runtime.rule_faults import sentence_of


class LimitsError(ValueError):
    """Invalid limits. The message names the wrong one and what was expected."""


def read_limits(file: Path) -> GatewayLimits:
    """Read limits. Those that the file does not set keep their defaults. Raises LimitsError, InputError."""
    try:
        limits = msgspec.convert(read_table(file), GatewayLimits)
        for address in limits.exempt_addresses:
            ipaddress.ip_network(address)
    except msgspec.ValidationError as error:
        sentence = sentence_of(str(error))
        if "unknown field" in sentence:
            sentence += f"; the limits are {', '.join(GatewayLimits.__struct_fields__)}"
        raise LimitsError(f"{file}: {sentence}") from error
    except TableError as error:
        raise LimitsError(str(error)) from error
    except ValueError as error:
        raise LimitsError(f"{file}: exempt_addresses: {error}; expected addresses or networks") from error
    return limits
