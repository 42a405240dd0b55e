"""The table of methods is complete enough to generate documentation from."""

import msgspec
import pytest

from exchange.gateway.methods import METHODS, Method


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_method_documents_itself(method: Method) -> None:
    """Has a summary on one line, and types that msgspec has a schema for."""
    assert method.summary.endswith(".") and len(method.summary) <= 100 and "\n" not in method.summary
    assert msgspec.json.schema(method.params)
    assert msgspec.json.schema(method.result)
    assert (method.dry_run is None) == (method.dry_run_result is None)
    if method.dry_run_result is not None:
        assert msgspec.json.schema(method.dry_run_result)
