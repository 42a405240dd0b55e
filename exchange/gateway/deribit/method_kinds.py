"""How a method of Deribit is made: of one of `/` with other parameters and another result, or of the views alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exchange.gateway import params as p
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit import shapes
from exchange.gateway.methods import Method
from exchange.keys.key import READ

# The parameters of a method here, as those of the method on `/`.
ToNative = Callable[[Any], p.Params]
# The result of the method on `/`, as the result here.
FromNative = Callable[[Caller, Any], Any]


def read(
    summary: str, params: type[d.DeribitParams], handle: Callable[[Caller, Any], Any], result: Any = list[shapes.Order]
) -> Method:
    """A method of a user that only reads."""
    return Method("private", READ, summary, p.Decoder(params), handle, result)


def translated(
    native: Method, summary: str, params: type[d.DeribitParams], to: ToNative, back: FromNative, result: Any
) -> Method:
    """A method of `/` with other parameters and another result. Its command, if it has one, is the same."""
    return commanded(native, summary, params, lambda caller, given: native.handle(caller, to(given)), back, result)


def commanded(
    native: Method,
    summary: str,
    params: type[d.DeribitParams],
    handle: Callable[[Caller, Any], Any],
    back: FromNative,
    result: Any,
) -> Method:
    """A method that makes the command of the native one in its own way, or answers at once without a command."""
    answer = native.answer
    assert answer is not None, "only methods with commands are translated"

    def answered(caller: Caller, change: Any) -> Any:
        return back(caller, answer(caller, change))

    return native._replace(
        summary=summary,
        decode=p.Decoder(params),
        handle=handle,
        result=result,
        answer=answered,
        dry_run=None,
        dry_run_result=None,
    )
