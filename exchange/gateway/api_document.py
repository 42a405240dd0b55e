"""The OpenRPC document: each method with its parameters, its result and its errors, made from the table of methods."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from exchange import __version__
from exchange.gateway.error_kinds import ERROR_KINDS, METHOD_REASONS
from exchange.gateway.params import Params, ReadParams
from exchange.gateway.schemas import Schema, reference_to, schemas_of

OPENRPC_VERSION = "1.3.2"
# Any request can get these.
_ANY = ("invalid_params", "unknown_param", "internal_error", "rate_limit_exceeded")
_BY_ACCESS = {
    "public": (),
    "private": ("must_authenticate",),
    "admin": ("must_authenticate", "not_permitted", "read_only_replay"),
}


class DescribedMethod(Protocol):
    """The parts of a method that the document describes."""

    @property
    def access(self) -> str: ...

    @property
    def params(self) -> type[Params]: ...

    @property
    def result(self) -> Any: ...

    @property
    def summary(self) -> str: ...

    @property
    def dry_run_result(self) -> Any: ...


class ErrorEntry(NamedTuple):
    """One code that a method can answer, with the reasons for it."""

    code: int
    message: str
    reasons: list[str]


def openrpc_document(methods: Mapping[str, DescribedMethod]) -> dict[str, Any]:
    """The OpenRPC document of these methods, of values that JSON has."""
    results, components = schemas_of(method.result for method in methods.values())
    _, objects = schemas_of(
        type_ for method in methods.values() for type_ in (method.params, method.dry_run_result) if type_ is not None
    )
    shape_names = {method.params.__name__ for method in methods.values()}
    parameters = {name: objects.pop(name) for name in shape_names}
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": "Event-sourced exchange",
            "version": __version__,
            "description": (
                "JSON-RPC 2.0 over one WebSocket connection. Parameters are given by name. `x-unit` is the unit of a "
                "number. In an error, `data.reason` is one of the reasons that the method lists for its code. "
                "asyncapi.yaml describes the channels, protocol.md explains both."
            ),
            "license": {"name": "MIT"},
        },
        "servers": [{"name": "local", "url": "ws://127.0.0.1:8765/"}],
        "methods": [
            _method(name, method, parameters[method.params.__name__], _result_of(method, result))
            for (name, method), result in zip(methods.items(), results, strict=True)
        ],
        "components": {"schemas": dict(sorted({**objects, **components}.items()))},
    }


def errors_of(name: str, method: DescribedMethod) -> list[ErrorEntry]:
    """The errors that a method can answer, by code."""
    reasons = {*_ANY, *_BY_ACCESS[method.access], *METHOD_REASONS.get(name, ())}
    if any(field.required for field in msgspec.structs.fields(method.params)):
        reasons.add("missing_param")
    if issubclass(method.params, ReadParams):
        reasons |= {"unknown_moment", "history_unavailable"}
    by_code: dict[int, ErrorEntry] = {}
    for reason, (code, message) in ERROR_KINDS.items():
        if reason in reasons:
            by_code.setdefault(code, ErrorEntry(code, message, [])).reasons.append(reason)
    return [by_code[code] for code in sorted(by_code)]


def _result_of(method: DescribedMethod, result: Schema) -> Schema:
    """The schema of the result; if the method has dry runs, of either result."""
    if method.dry_run_result is None:
        return result
    return {"anyOf": [result, reference_to(method.dry_run_result.__name__)]}


def _method(name: str, method: DescribedMethod, params: Schema, result: Schema) -> dict[str, Any]:
    required = params.get("required", [])
    return {
        "name": name,
        "summary": method.summary,
        "tags": [{"name": method.access}],
        "paramStructure": "by-name",
        "params": [
            {
                "name": param,
                "description": schema["description"],
                "required": param in required,
                "schema": {keyword: value for keyword, value in schema.items() if keyword != "description"},
            }
            for param, schema in params["properties"].items()
        ],
        "result": {"name": "result", "schema": result},
        "errors": [
            {"code": error.code, "message": error.message, "data": {"reasons": error.reasons}}
            for error in errors_of(name, method)
        ],
    }
