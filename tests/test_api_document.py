"""The documents of the wire are valid and complete, and `make docs` writes the same ones."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7

from exchange.gateway import fields
from exchange.gateway.api_document import errors_of, openrpc_document
from exchange.gateway.channel_document import CHANNEL_KINDS, asyncapi_document
from exchange.gateway.channels import Kind
from exchange.gateway.error_kinds import ERROR_KINDS, METHOD_REASONS
from exchange.gateway.methods import METHODS
from exchange.gateway.schemas import references_in
from tests.api_reference import Example, ReplayExamples, documents, examples, replay_examples
from tests.conversation import RECEIVES, SENDS, read_entries

ROOT = Path(__file__).parents[1]
SCHEMAS = Path(__file__).parent / "schemas"
SESSIONS = sorted((Path(__file__).parent / "sessions").glob("*.txt"))
OPENRPC = openrpc_document(METHODS)
ASYNCAPI = asyncapi_document()
# Conversations show these before the exchange looks at the method.
OF_THE_ENVELOPE = {"parse_error", "invalid_request", "invalid_id", "empty_batch", "batch_too_long", "method_not_found"}


@pytest.fixture(scope="module")
def replay() -> ReplayExamples:
    return asyncio.run(replay_examples())


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


def closed(schema: Any) -> Any:
    """The schema with no other fields than those that it names."""
    if isinstance(schema, dict):
        named = {"additionalProperties": False} if "properties" in schema else {}
        return {name: closed(part) for name, part in schema.items()} | named
    return [closed(part) for part in schema] if isinstance(schema, list) else schema


def errors_in(value: Any, schema: Any, document: Any) -> list[str]:
    """What a value violates of a schema whose references lead into the document."""
    whole = closed(schema) | {"components": closed(document["components"])}
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(value)]


@pytest.mark.parametrize("name", ["asyncapi.yaml", "openrpc.json", "operations.md", "protocol.md", "sql.md"])
def test_the_written_documents_are_up_to_date(name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == documents()[name], f"docs/{name} is out of date: run `make docs`"


def test_the_openrpc_document_is_valid() -> None:
    document = json.loads((ROOT / "docs" / "openrpc.json").read_text(encoding="utf-8"))
    assert document == OPENRPC
    json_schema = DRAFT7.create_resource(vendored("json-schema-tools.json"))
    registry = Registry().with_resource("https://meta.json-schema.tools", json_schema)
    registry = registry.with_resource("https://meta.json-schema.tools/", json_schema)
    validator = Draft7Validator(vendored("openrpc-1.3.json"), registry=registry)
    assert [error.message for error in validator.iter_errors(document)] == []
    assert not validator.is_valid(document | {"methods": [{"name": "public/test"}]})


def test_the_asyncapi_document_is_valid() -> None:
    document = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8"))
    assert document == ASYNCAPI
    validator = Draft7Validator(vendored("asyncapi-3.0.0.json"))
    assert [error.message for error in validator.iter_errors(document)] == []
    assert not validator.is_valid(document | {"channels": {"book": {"adress": "book"}}})


@pytest.mark.parametrize("document", [OPENRPC, ASYNCAPI], ids=["openrpc", "asyncapi"])
def test_each_schema_is_one_and_each_reference_leads_somewhere(document: dict[str, Any]) -> None:
    assert [resolve(document, reference) for reference in references_in(document)]
    for schema in schemas_within(document):
        Draft202012Validator.check_schema(schema)


def test_the_openrpc_document_has_each_method() -> None:
    assert [method["name"] for method in OPENRPC["methods"]] == list(METHODS)


def test_the_asyncapi_document_has_each_kind_of_channel() -> None:
    addresses = {channel["address"] for channel in ASYNCAPI["channels"].values()} - {None}
    assert set(CHANNEL_KINDS) == set(get_args(Kind))
    assert addresses == {kind.address for kind in CHANNEL_KINDS.values()}
    assert {address.partition(".{")[0] for address in addresses} == {
        kind.removesuffix(".asset") for kind in CHANNEL_KINDS
    }


def check_example(example: Example, described: dict[str, Any], document: dict[str, Any]) -> None:
    """The parameters and the result of an example fit the schemas of its method."""
    params = {param["name"]: param for param in described["params"]}
    given = example.request.get("params", {})
    assert {name for name, param in params.items() if param["required"]} <= set(given) <= set(params)
    for name, value in given.items():
        assert errors_in(value, params[name]["schema"], document) == []
    assert errors_in(example.answer["result"], described["result"]["schema"], document) == []


@pytest.mark.parametrize("described", OPENRPC["methods"], ids=lambda described: described["name"])
def test_each_example_fits_its_schemas(described: dict[str, Any]) -> None:
    check_example(examples()[described["name"]], described, OPENRPC)


def test_a_server_answers_with_the_document_of_its_own_methods(replay: ReplayExamples) -> None:
    assert replay.api == openrpc_document(replay.methods) != OPENRPC
    assert METHODS["rpc.discover"] is METHODS["public/get_api"]


def test_the_examples_of_a_replay_fit_their_schemas(replay: ReplayExamples) -> None:
    document = replay.api
    described = {method["name"]: method for method in document["methods"]}
    assert list(described) == list(replay.methods) and set(described) - set(METHODS) == set(replay.examples)
    for name, example in replay.examples.items():
        check_example(example, described[name], document)


def notifications() -> Iterator[dict[str, Any]]:
    """Each notification in the conversations."""
    for path in SESSIONS:
        for entry in read_entries(path):
            if (match := RECEIVES.fullmatch(entry.text)) and "method" in (message := json.loads(match[3])):
                yield message


def test_each_notification_fits_the_schema_of_its_channel() -> None:
    channels = {channel["address"]: channel for channel in ASYNCAPI["channels"].values()}
    seen = set()
    for message in notifications():
        name = message["params"].get("channel", "")
        address = next((one for one in channels if one and name and is_of(name, one)), None)
        payloads = [part["payload"] for part in channels[address]["messages"].values()]
        assert [] in [errors_in(message, payload, ASYNCAPI) for payload in payloads], message
        seen.add(address)
    assert seen == set(channels)


def is_of(channel_name: str, address: str) -> bool:
    """True if the channel has this address. The id of an instrument has a hyphen, and an asset has none."""
    prefix, _, parameters = address.partition(".{")
    if not parameters:
        return channel_name == prefix
    kind, _, of = channel_name.partition(".")
    return kind == prefix and ("-" in of) == parameters.startswith("instrument_id")


def errors_shown() -> Iterator[tuple[str, str]]:
    """The method and the reason of each error in the conversations."""
    for path in SESSIONS:
        methods: dict[tuple[str, str], str] = {}
        for entry in read_entries(path):
            if match := SENDS.fullmatch(entry.text):
                methods |= {(match[2], key): method for key, method in requests_in(match[3])}
            elif match := RECEIVES.fullmatch(entry.text):
                answers = json.loads(match[3])
                for answer in answers if isinstance(answers, list) else [answers]:
                    key = match[1], json.dumps(answer.get("id"))
                    if "error" in answer and key in methods:
                        yield methods[key], answer["error"]["data"]["reason"]


def requests_in(text: str) -> Iterator[tuple[str, str]]:
    """The id as JSON and the method of each request in a frame, as far as it is one."""
    try:
        content = json.loads(text)
    except ValueError:
        return
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, dict) and isinstance(part.get("method"), str):
            yield json.dumps(part.get("id")), part["method"]


def test_each_error_in_a_conversation_is_declared_by_its_method() -> None:
    shown = [(name, reason) for name, reason in errors_shown() if name in METHODS and reason not in OF_THE_ENVELOPE]
    declared = {
        (name, reason) for name in METHODS for error in errors_of(name, METHODS[name]) for reason in error.reasons
    }
    assert len(shown) > 100 and set(shown) <= declared


def test_each_declared_reason_is_one_of_an_existing_method() -> None:
    assert set(METHOD_REASONS) <= set(METHODS)
    assert {reason for reasons in METHOD_REASONS.values() for reason in reasons} <= set(ERROR_KINDS)


def test_each_meaning_is_of_a_field_and_each_price_has_its_unit(replay: ReplayExamples) -> None:
    objects = replay.api["components"]["schemas"] | ASYNCAPI["components"]["schemas"]
    used = {f"{name}.{field}" for name, schema in objects.items() for field in schema.get("properties", ())}
    used |= {
        f"{method.params.__name__}.{field}"
        for method in replay.methods.values()
        for field in method.params.__struct_encode_fields__
    }
    used |= {field.partition(".")[2] for field in used}
    assert set(fields.FIELDS) - used == set()
    prices = [schema["properties"]["price"] for schema in objects.values() if "price" in schema.get("properties", ())]
    assert prices and all(price["x-unit"] == fields.MICROS for price in prices)
