"""The documents of the wire are valid, complete, and those that `make docs` writes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator

from exchange.cli.api_reference import documents
from exchange.gateway.channel_document import CHANNEL_KINDS, asyncapi_document
from exchange.gateway.channels import Kind
from exchange.gateway.schemas import references_in

ROOT = Path(__file__).parents[1]
SCHEMAS = Path(__file__).parent / "schemas"


def vendored(name: str) -> Any:
    return json.loads((SCHEMAS / name).read_text(encoding="utf-8"))


def resolve(document: Any, reference: str) -> Any:
    """The part of the document to which a `$ref` refers. Raises KeyError if there is none."""
    assert reference.startswith("#/"), f"{reference} leads out of the document"
    part = document
    for name in reference.removeprefix("#/").split("/"):
        part = part[name]
    return part


def schemas_within(value: Any) -> Iterator[Any]:
    """Each JSON Schema in a document: under `schema`, `payload` or `components.schemas`."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name in ("schema", "payload"):
                yield part
            elif name == "schemas":
                yield from part.values()
            else:
                yield from schemas_within(part)
    elif isinstance(value, list):
        for part in value:
            yield from schemas_within(part)


@pytest.mark.parametrize("name", documents())
def test_the_written_documents_are_up_to_date(name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == documents()[name], f"docs/{name} is out of date: run `make docs`"


def test_the_asyncapi_document_is_valid() -> None:
    document = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8"))
    assert document == asyncapi_document()
    validator = Draft7Validator(vendored("asyncapi-3.0.0.json"))
    assert [error.message for error in validator.iter_errors(document)] == []
    assert not validator.is_valid(document | {"channels": {"book": {"adress": "book"}}})


@pytest.mark.parametrize("document", [asyncapi_document()], ids=["asyncapi"])
def test_each_schema_is_one_and_each_reference_leads_somewhere(document: dict[str, Any]) -> None:
    assert [resolve(document, reference) for reference in references_in(document)]
    for schema in schemas_within(document):
        Draft202012Validator.check_schema(schema)


def test_the_asyncapi_document_has_each_kind_of_channel() -> None:
    channels = asyncapi_document()["channels"]
    addresses = {channel["address"] for channel in channels.values()} - {None}
    assert set(CHANNEL_KINDS) == set(get_args(Kind))
    assert addresses == {kind.address for kind in CHANNEL_KINDS.values()}
    assert {address.partition(".{")[0] for address in addresses} == set(get_args(Kind))
