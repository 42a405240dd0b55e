"""Writes the generated documents of the wire, and the tables of docs/sql.md. `make docs` runs it, and a test compares.

The examples in docs/protocol.md are the first call of each method in two golden conversations, which a test holds. The
examples of the methods of a replay come from a replay of a small market, which runs here.
"""

import asyncio
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from exchange.gateway.api_document import DescribedMethod, errors_of, openrpc_document
from exchange.gateway.channel_document import asyncapi_document
from exchange.gateway.error_kinds import METHOD_REASONS
from exchange.gateway.limits import MEANINGS, GatewayLimits
from exchange.gateway.methods import METHODS
from exchange.gateway.schemas import Schema, name_of_reference, reference_to, references_in
from exchange.history.replay_server import ReplayOptions, ReplayServer
from exchange.journal.opening import open_journal_reader
from tests.conversation import RECEIVES, SENDS, read_entries
from tests.market_story import write_story
from tests.sql_reference import sql_page

DOCS = Path(__file__).resolve().parents[1] / "docs"
CONVERSATIONS = [Path(__file__).parent / "sessions" / name for name in ("methods.txt", "api.txt")]
REPLAY_CALLS: dict[str, dict[str, Any]] = {
    "replay/status": {},
    "replay/pause": {},
    "replay/resume": {},
    "replay/speed": {"speed": 10.0},
    "replay/seek": {"seq": 30},
    "replay/step": {"by": "command", "count": -1},
}
_WIDTH = 110  # columns
_BEGIN, _END = "<!-- methods: written by `make docs` -->\n", "<!-- end of methods -->\n"
_BEGIN_LIMITS, _END_LIMITS = "<!-- limits: written by `make docs` -->\n", "<!-- end of limits -->\n"
_NUMBER_MAX = 2**53 - 1
_RESULT = "Result"  # at the end of the name of an object that is the result of a method and nothing else


class Example(NamedTuple):
    """A request and its answer, as JSON. An abridged answer shows only some of its fields."""

    request: dict[str, Any]
    answer: dict[str, Any]
    is_abridged: bool = False


def documents() -> dict[str, str]:
    """The text of each generated file in docs/, by its name."""
    page = (DOCS / "protocol.md").read_text(encoding="utf-8")
    return {
        "asyncapi.yaml": _yaml(asyncapi_document()),
        "openrpc.json": json.dumps(openrpc_document(METHODS), indent=1, ensure_ascii=False) + "\n",
        "protocol.md": _with_methods(page),
        "operations.md": _with_limits((DOCS / "operations.md").read_text(encoding="utf-8")),
        "sql.md": sql_page((DOCS / "sql.md").read_text(encoding="utf-8")),
    }


def examples() -> dict[str, Example]:
    """The first call of each method in the conversations, by the name of the method."""
    found: dict[str, Example] = {}
    for path in CONVERSATIONS:
        requests: dict[tuple[str, int], dict[str, Any]] = {}
        for entry in read_entries(path):
            if match := SENDS.fullmatch(entry.text):
                request = json.loads(match[3])
                requests[match[2], request["id"]] = request
            elif match := RECEIVES.fullmatch(entry.text):
                answer = json.loads(match[3])
                if request := requests.get((match[1], answer.get("id", 0))):
                    found.setdefault(request["method"], Example(request, answer, bool(match[2])))
    return found


class ReplayExamples(NamedTuple):
    """The methods of a replay, an example of each that only a replay has, and its answer to `public/get_api`."""

    methods: Mapping[str, DescribedMethod]
    examples: dict[str, Example]
    api: dict[str, Any]


async def replay_examples() -> ReplayExamples:
    """Call each method of a replay once, on a replay that stands at its beginning."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "exchange.db"
        await asyncio.to_thread(write_story, path, 37)
        with open_journal_reader(path) as reader:
            server = ReplayServer(reader, ReplayOptions(1, 37), lambda: 0.0)
            answers: asyncio.Queue[bytes] = asyncio.Queue()
            session = server.gateway.open_local_session(answers.put_nowait, lambda reason: None)
            found: dict[str, Example] = {}
            for request_id, (method, params) in enumerate((REPLAY_CALLS | {"public/get_api": {}}).items(), 1):
                request = {"jsonrpc": "2.0", "id": request_id, "method": method} | (
                    {"params": params} if params else {}
                )
                session.receive(json.dumps(request).encode())
                found[method] = Example(request, json.loads(await answers.get()))
            session.close()
            await server.close()
            return ReplayExamples(server.methods, found, found.pop("public/get_api").answer["result"])


def _yaml(document: dict[str, Any]) -> str:
    # A copy without shared parts, because YAML would write the second occurrence as an alias.
    copy = json.loads(json.dumps(document))
    text: str = yaml.safe_dump(copy, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return "# Written by `make docs`.\n" + text


def _with_methods(page: str) -> str:
    """The page with the sections of all methods and objects between its two marks."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    assert begin and end, "docs/protocol.md has lost the marks around its methods"
    methods, of_replay, _ = asyncio.run(replay_examples())
    return before + begin + "\n" + "\n".join(_sections(methods, examples() | of_replay)) + "\n" + end + after


def _with_limits(page: str) -> str:
    """The page with the table of the limits that an operator may change between its two marks."""
    before, begin, rest = page.partition(_BEGIN_LIMITS)
    _, end, after = rest.partition(_END_LIMITS)
    assert begin and end, "docs/operations.md has lost the marks around its limits"
    defaults = msgspec.to_builtins(GatewayLimits())
    rows = [f"| `{name}` | {json.dumps(defaults[name])} | {meaning} |" for name, meaning in MEANINGS.items()]
    return before + begin + "\n".join(["| limit | default | meaning |", "|---|---|---|", *rows]) + "\n" + end + after


def _sections(methods: Mapping[str, DescribedMethod], shown: Mapping[str, Example]) -> Iterator[str]:
    document = openrpc_document(methods)
    objects = document["components"]["schemas"] | asyncapi_document()["components"]["schemas"]
    for described in document["methods"]:
        name = described["name"]
        yield from _method_section(described, methods[name], shown[name], objects)
    yield "## Objects\n"
    yield (
        "Results and messages consist of these objects. An optional field, or one with a default, may be left out; a "
        "missing field has its default.\n"
    )
    for name, schema in sorted(objects.items()):
        if not name.endswith(_RESULT):
            yield f"### {name}\n"
            if description := schema.get("description"):
                yield f"{description}\n"
            yield from _fields_table(schema) if "properties" in schema else (f"One of {_type(schema)}.\n",)


def _method_section(
    described: dict[str, Any], method: DescribedMethod, example: Example, objects: dict[str, Schema]
) -> Iterator[str]:
    name = described["name"]
    own = METHOD_REASONS.get(name, ())
    yield f"### `{name}`\n"
    yield f"{described['summary']}\n"
    if described["params"]:
        yield "| parameter | type | | meaning |\n|---|---|---|---|"
        for param in described["params"]:
            needed = "required" if param["required"] else _default(param["schema"])
            yield f"| `{param['name']}` | {_type(param['schema'])} | {needed} | {param['description']} |"
        yield ""
    yield from _result(described["result"]["schema"], objects)
    errors = [(error.code, [r for r in error.reasons if r in own]) for error in errors_of(name, method)]
    listed = [f"{code} ({', '.join(f'`{reason}`' for reason in reasons)})" for code, reasons in errors if reasons]
    if listed:
        yield f"Errors: {', '.join(listed)}.\n"
    yield f"```json\n{_compact(example.request)}\n```\n"
    if example.is_abridged:
        yield "The answer, abridged:\n"
    yield f"```json\n{_compact(example.answer)}\n```\n"


def _result(schema: Schema, objects: dict[str, Schema]) -> Iterator[str]:
    """The result in words, and the fields of those objects that are the result of a method and nothing else."""
    names = [name for name in map(name_of_reference, references_in(schema)) if name.endswith(_RESULT)]
    yield "Result:\n" if [schema] == [reference_to(name) for name in names] else f"Result: {_type(schema)}.\n"
    for name in names:
        if len(names) > 1:
            yield f"{name}:\n"
        yield from _fields_table(objects[name])


def _fields_table(schema: Schema) -> Iterator[str]:
    yield "| field | type | meaning |\n|---|---|---|"
    for name, field in schema["properties"].items():
        optional = "" if name in schema.get("required", ()) else f" ({_default(field)})"
        yield f"| `{name}`{optional} | {_type(field)} | {field['description']} |"
    yield ""


def _default(schema: Schema) -> str:
    default = schema.get("default")
    return "optional" if default in (None, []) else f"default `{json.dumps(default)}`"


def _type(schema: Schema) -> str:
    """A type in words, with its limits and its unit."""
    unit = f", {schema['x-unit']}" if "x-unit" in schema else ""
    if "allOf" in schema:
        return _type(schema["allOf"][0]) + unit
    if "$ref" in schema:
        name = name_of_reference(schema["$ref"])
        return name if name.endswith(_RESULT) else f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"]) + unit
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")])) + unit
    if schema["type"] == "array":
        return f"array of {_type(schema['items'])}{_range(schema.get('minItems'), schema.get('maxItems'))}"
    if schema["type"] == "string":
        return f"string{_range(schema.get('minLength'), schema.get('maxLength'))}"
    low, high = schema.get("minimum"), schema.get("maximum")
    bounds = _range(None if low == -_NUMBER_MAX else low, None if high == _NUMBER_MAX else high)
    return f"{schema['type']}{bounds}{unit}"


def _range(low: int | None, high: int | None) -> str:
    if low is None and high is None:
        return ""
    if low is None:
        return f" (up to {high})"
    return f" (at least {low})" if high is None else f" ({low} to {high})"


def _compact(value: Any, indent: str = "") -> str:
    """JSON with each part on one line if it fits."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= _WIDTH or not value or not isinstance(value, dict | list):
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(name)}: {_compact(part, inner)}" for name, part in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _compact(part, inner) for part in value) + f"\n{indent}]"


if __name__ == "__main__":
    for name, content in documents().items():
        (DOCS / name).write_text(content, encoding="utf-8")
