"""The table of methods is complete enough to generate documentation from."""

import msgspec
import pytest

from exchange.gateway.methods import METHODS, Method
from exchange.gateway.params import CommandParams


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_method_documents_itself(method: Method) -> None:
    """Has a summary on one line, and types that msgspec has a schema for."""
    assert method.summary.endswith(".") and len(method.summary) <= 100 and "\n" not in method.summary
    assert msgspec.json.schema(method.params)
    assert msgspec.json.schema(method.result)
    assert (method.dry_run is None) == (method.dry_run_result is None)
    if method.dry_run_result is not None:
        assert msgspec.json.schema(method.dry_run_result)


@pytest.mark.parametrize(("name", "method"), METHODS.items(), ids=METHODS)
def test_a_method_takes_receipt_if_it_records_a_command(name: str, method: Method) -> None:
    """The answer of a method is made from a command, except that of the one that reads the life of an order."""
    assert issubclass(method.params, CommandParams) == (method.answer is not None and name != "private/explain_order")
