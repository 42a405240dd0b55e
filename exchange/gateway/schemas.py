"""JSON Schemas of the types on the wire, with the meaning and the unit of each field."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET
from msgspec.inspect import StructType, multi_type_info

from exchange.gateway.fields import Field, field_of

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/"
# Types in the code that also serve other readers have fields that never reach a client.
_HIDDEN = {"FilledStep": ("counterparty",)}


class SchemaSet(NamedTuple):
    """One schema for each requested type, in order, and by name the objects that they refer to."""

    schemas: list[Schema]
    components: dict[str, Schema]


def schemas_of(types: Iterable[Any]) -> SchemaSet:
    """The schemas of these types; references begin with `#/components/schemas/`. Raises KeyError for a new field."""
    types = list(types)
    found, objects = msgspec.json.schema_components(types, ref_template=_REFERENCE + "{name}")
    structs = {struct.__name__: struct for struct in _structs_in(list(multi_type_info(types)))}
    components = {
        wire_type_name(name): _described(structs[name], schema) if name in structs else _plain(schema)
        for name, schema in objects.items()
    }
    return SchemaSet([_plain(schema) for schema in found], _reachable(list(found), components))


def reference_to(name: str) -> Schema:
    """A reference to the object of this name."""
    return {"$ref": _REFERENCE + name}


def name_of_reference(reference: str) -> str:
    """The name of the object that a `$ref` refers to."""
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


def _structs_in(info: Any) -> Iterator[type[msgspec.Struct]]:
    """Each struct within these type descriptions of msgspec."""
    pending, seen = list(info), dict[type[msgspec.Struct], None]()
    while pending:
        part = pending.pop()
        if isinstance(part, StructType):
            if part.cls in seen:
                continue
            seen[part.cls] = None
            pending += [field.type for field in part.fields]
        pending += getattr(part, "types", ())
        pending += [getattr(part, name) for name in ("item_type", "type") if hasattr(part, name)]
    return iter(seen)


def _described(struct: type[msgspec.Struct], schema: Schema) -> Schema:
    """An object with the meaning of its fields, without the fields that no client gets."""
    name = wire_type_name(struct.__name__)
    schema = _plain(schema)
    schema["title"] = name
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].partition("\n\n")[0].split())
    fields = schema["properties"]
    for hidden in _HIDDEN.get(name, ()):
        del fields[hidden]
    names = dict(zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True))
    schema["properties"] = {
        field: _with_meaning(part, field_of(name, field, names.get(field, field))) for field, part in fields.items()
    }
    is_sent_by_clients = struct.__struct_config__.forbid_unknown_fields
    if not is_sent_by_clients and not struct.__struct_config__.omit_defaults:
        left_out = [part.encode_name for part in msgspec.structs.fields(struct) if part.default is UNSET]
        schema["required"] = [field for field in fields if field not in left_out]
    return schema


def _with_meaning(schema: Schema, field: Field) -> Schema:
    meaning: Schema = {"description": field.description}
    if field.unit:
        meaning["x-unit"] = field.unit
    if "$ref" in schema:
        return {"allOf": [schema], **meaning}
    return {**schema, **meaning}


def _plain(value: Any) -> Any:
    r"""Only with values that JSON has, and without `\Z` in patterns and discriminators, which other languages lack."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items() if name != "discriminator"}
    if isinstance(value, list | tuple):
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
