"""Plans of chaos as operators write them: a TOML or JSON file of `ChaosPlan`."""

from pathlib import Path

import msgspec

from exchange.gateway.chaos import ChaosPlan, contradiction
from exchange.outside_text import TableError, read_table
from exchange.runtime.rule_faults import sentence_of


class ChaosError(ValueError):
    """An invalid plan. The message names the wrong field and what was expected."""


def read_chaos(file: Path) -> ChaosPlan:
    """Read a plan. Faults that the file does not name do not happen. Raises ChaosError, InputError."""
    try:
        plan = msgspec.convert(read_table(file), ChaosPlan)
    except TableError as error:
        raise ChaosError(str(error)) from error
    except msgspec.ValidationError as error:
        sentence = sentence_of(str(error))
        if "unknown field" in sentence:
            sentence += f"; a plan has {', '.join(ChaosPlan.__struct_fields__)}"
        raise ChaosError(f"{file}: {sentence}") from error
    if contradicts := contradiction(plan):
        raise ChaosError(f"{file}: {contradicts}")
    return plan
