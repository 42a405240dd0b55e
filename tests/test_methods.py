"""The table of methods is complete enough to generate documentation from."""

import msgspec
import pytest

from exchange.gateway.methods import METHODS, Method
from exchange.gateway.params import CommandParams, ReadParams


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_method_documents_itself(method: Method) -> None:
    """Has a summary on one line, and types that msgspec has a schema for."""
    assert method.summary.endswith(".") and len(method.summary) <= 100 and "\n" not in method.summary
    assert msgspec.json.schema(method.params)
    assert msgspec.json.schema(method.result)
    assert (method.dry_run is None) == (method.dry_run_result is None)
    if method.dry_run_result is not None:
        assert msgspec.json.schema(method.dry_run_result)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_method_takes_receipt_if_it_records_a_command(method: Method) -> None:
    assert issubclass(method.params, CommandParams) == (method.answer is not None and not method.inquires)


# They read nothing that the history has: the clock, the documentation, the state of the matcher and of the process.
PRESENT_ONLY = ("public/get_time", "public/get_api", "private/get_margin", "admin/get_metrics")


@pytest.mark.parametrize(("name", "method"), METHODS.items(), ids=METHODS)
def test_every_method_that_reads_can_answer_about_the_past(name: str, method: Method) -> None:
    reads = "/get_" in name or name == "private/explain_order"
    assert issubclass(method.params, ReadParams) == (reads and name not in PRESENT_ONLY)
