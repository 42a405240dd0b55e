"""Requests that a meter counts."""

from typing import Any

from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.meter import RequestMeter
from exchange.gateway.request_queue import Call


class MeasuredCall(Call, eq=False, kw_only=True):
    """A request that tells `meter` of its answer. `label` is the name of its method there."""

    meter: RequestMeter
    label: str
    arrived_seconds: float

    def succeed(self, result: Any) -> None:
        """Answer with a result."""
        Call.succeed(self, result)
        self.meter.answered(self.label, self.arrived_seconds)

    def fail(self, error: RpcError) -> None:
        """Answer with an error."""
        Call.fail(self, error)
        self.meter.refused(error.data["reason"])
        self.meter.answered(self.label, self.arrived_seconds)
