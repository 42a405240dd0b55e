"""JSON Schemas of the types on the wire, by their names on the wire, with the meaning and the unit of each field."""

import inspect
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from exchange.gateway.fields import field_of

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/"
# Types in the code that also serve other readers have fields that never reach a client.
_HIDDEN = {"FilledStep": ("counterparty",)}


class SchemaSet(NamedTuple):
    """The schema of each type that was asked for, in order, and the objects to which they refer, by name."""

    schemas: list[Schema]
    components: dict[str, Schema]


def schemas_of(types: Iterable[Any]) -> SchemaSet:
    """The schemas of these types; references begin with `#/components/schemas/`. Raises KeyError for a new field."""
    found, objects = msgspec.json.schema_components(types, ref_template=_REFERENCE + "{name}")
    components = {wire_type_name(name): _described(wire_type_name(name), schema) for name, schema in objects.items()}
    return SchemaSet([_plain(schema) for schema in found], _reachable(list(found), components))


def name_of_reference(reference: str) -> str:
    """The name of the object to which a `$ref` refers."""
    return reference.removeprefix(_REFERENCE)


def references_in(value: Any) -> Iterable[str]:
    """Each `$ref` within a schema or document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for part in value.values():
            yield from references_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from references_in(part)


def wire_type_name(name: str) -> str:
    """The name of an object in the documents: `OrderView` is the `Order` of the protocol."""
    return name.removesuffix("View")


def summary_of(type_: Any) -> str:
    """The first paragraph of the docstring, on one line."""
    return inspect.cleandoc(type_.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def _described(name: str, schema: Schema) -> Schema:
    """An object with the meaning of its fields, without the fields that no client gets."""
    schema = _plain(schema)
    schema["title"] = name
    if "description" in schema:
        schema["description"] = schema["description"].partition("\n\n")[0].replace("\n", " ")
    for hidden in _HIDDEN.get(name, ()):
        del schema["properties"][hidden]
    for field_name, field_schema in schema.get("properties", {}).items():
        schema["properties"][field_name] = _with_meaning(name, field_name, field_schema)
    return schema


def _with_meaning(type_name: str, field_name: str, schema: Schema) -> Schema:
    field = field_of(type_name, field_name)
    meaning: Schema = {"description": field.description}
    if field.unit:
        meaning["x-unit"] = field.unit
    if "$ref" in schema:
        return {"allOf": [schema], **meaning}
    return {**schema, **meaning}


def _plain(value: Any) -> Any:
    r"""Without what readers in other languages do not know: `\Z` in patterns, and discriminators of anyOf."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items() if name != "discriminator"}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, str):
        if value.startswith(_REFERENCE):
            return _REFERENCE + wire_type_name(name_of_reference(value))
        return value.replace(r"\Z", "$")
    return value


def _reachable(schemas: Any, components: dict[str, Schema]) -> dict[str, Schema]:
    """The objects that these schemas need, by name."""
    wanted: dict[str, Schema] = {}
    pending = [wire_type_name(name_of_reference(reference)) for reference in references_in(schemas)]
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted[name] = components[name]
            pending += [name_of_reference(reference) for reference in references_in(components[name])]
    return dict(sorted(wanted.items()))
