"""Replays edited histories for clients: each in a process of its own, at a low priority and for a limited time."""

import asyncio
import logging
from pathlib import Path
from subprocess import PIPE

import msgspec

from exchange.gateway.exchange_port import PastAnswer, PastDone, WhatIfQuestion
from exchange.gateway.jsonrpc import RpcError, history_unavailable, invalid_params, rate_limited
from exchange.subprocesses import run_module

# What-ifs that run at a time, of all accounts. One account has at most one.
RUNNING_MAX = 2
# The process is ended after this time.
RUN_SECONDS = 60.0
_RETRY_MS = 1_000
_ANSWER_MAX = 1024 * 1024
# It replays commands, so it lies above this package, and is named instead of imported.
_WORKER = "exchange.history.what_if_worker"

_log = logging.getLogger(__name__)
_decode = msgspec.json.Decoder(PastAnswer).decode


class WhatIfService:
    """What-ifs of the journal at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # The accounts with a what-if, and the process of each, 0 before it starts.
        self.running: dict[str, int] = {}

    def admit(self, user_id: str) -> RpcError | None:
        """Take the place of a what-if of this account, which must run then. Returns the error if there is none."""
        if user_id in self.running:
            return rate_limited("a what-if of this account runs already: wait for its answer", _RETRY_MS)
        if len(self.running) >= RUNNING_MAX:
            return rate_limited("too many what-ifs run: try again later", _RETRY_MS)
        self.running[user_id] = 0
        return None

    async def run(self, question: WhatIfQuestion, done: PastDone) -> None:
        """Replay the edited history, and tell `done` the answer. It must have been admitted."""
        try:
            outcome = await self._outcome(question)
        finally:
            del self.running[question.user_id]
        done(outcome)

    async def _outcome(self, question: WhatIfQuestion) -> msgspec.Raw | RpcError:
        try:
            async with run_module(_WORKER, str(self._path), stdin=PIPE, stdout=PIPE, limit=_ANSWER_MAX) as process:
                self.running[question.user_id] = process.pid
                assert process.stdin is not None and process.stdout is not None
                async with asyncio.timeout(RUN_SECONDS):
                    process.stdin.write(msgspec.json.encode(question) + b"\n")
                    await process.stdin.drain()
                    answer = _decode(await process.stdout.readline())
        except TimeoutError:
            detail = f"the replay took longer than {RUN_SECONDS:g} seconds: compare fewer commands"
            return invalid_params("from_seq", detail, "what_if_too_long")
        except (OSError, ValueError) as error:
            _log.error("a what-if failed: %r", error)
            return history_unavailable("the process of the what-if failed: the server's log has the reason", _RETRY_MS)
        return answer.result if answer.error is None else RpcError(**answer.error)
