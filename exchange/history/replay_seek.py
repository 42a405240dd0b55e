"""Seeks of a replay: goes to another moment, while clients are served."""

import contextlib
import logging
from collections.abc import Awaitable, Callable

from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress
from exchange.journal.errors import JournalError

_log = logging.getLogger(__name__)

# Computes the state after a seq. Calls its second argument again and again, which may raise to stop it.
EngineAfter = Callable[[int, Progress], Awaitable[Engine]]


class _SupersededError(Exception):
    """The seek was replaced by another one, or cancelled."""


class Seek:
    """The running seek of a replay. `target_seq` is None if there is none."""

    def __init__(self) -> None:
        self.target_seq: int | None = None

    def begin(self, seq: int) -> bool:
        """Set the target. Returns False if a seek is running, which then goes to the new target."""
        is_first = self.target_seq is None
        self.target_seq = seq
        return is_first

    def cancel(self) -> None:
        """Stop the seek."""
        self.target_seq = None

    async def run(self, engine_after: EngineAfter) -> Engine | None:
        """Compute the state at the target, and end the seek. Returns None, and logs the error, if it fails."""
        engine: Engine | None = None
        try:
            engine = await self._engine_at_target(engine_after)
        except JournalError as error:
            _log.error("a seek failed, the replay stays at its position: %s", error)
        except Exception:
            _log.exception("a seek failed, the replay stays at its position")
        self.target_seq = None
        return engine

    async def _engine_at_target(self, engine_after: EngineAfter) -> Engine:
        while True:
            seq = self.target_seq
            assert seq is not None, "a seek without a target"

            def check(_done: int, _total: int, seq: int = seq) -> None:
                if self.target_seq != seq:
                    raise _SupersededError

            with contextlib.suppress(_SupersededError):
                engine = await engine_after(seq, check)
                if self.target_seq == seq:
                    return engine
