"""Requests that a meter counts."""

from typing import Any

from exchange.gateway.dialect import Dialect
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.meter import RequestMeter
from exchange.gateway.request_queue import Call, Reply


class MeasuredCall(Call):
    """A request that tells `meter` of its answer. `label` is the name of its method there."""

    __slots__ = ("arrived_seconds", "label", "meter")

    def __init__(
        self,
        dialect: Dialect,
        raw_id: bytes | None,
        reply: Reply,
        name: str,
        error: RpcError | None,
        meter: RequestMeter,
        label: str,
        arrived_seconds: float,
    ) -> None:
        super().__init__(dialect, raw_id, reply, name, error)
        self.meter = meter
        self.label = label
        self.arrived_seconds = arrived_seconds

    def succeed(self, result: Any) -> None:
        """Answer with a result."""
        super().succeed(result)
        self.meter.answered(self.label, self.arrived_seconds)

    def fail(self, error: RpcError) -> None:
        """Answer with an error."""
        super().fail(error)
        self.meter.refused(error.data["reason"])
        self.meter.answered(self.label, self.arrived_seconds)
