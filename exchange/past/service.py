"""Asks a process that reads the history questions about the past, one at a time."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE

import msgspec

from exchange.child_process import ChildProcess
from exchange.gateway.exchange_port import PastAnswer, PastDone, PastQuestion
from exchange.gateway.jsonrpc import RpcError, history_unavailable, rate_limited
from exchange.past import worker
from exchange.subprocesses import run_module

# Questions of all connections that wait. More are refused. One connection has at most one.
QUESTIONS_MAX = 200
# How long a question waits for a history that does not reach its moment yet.
BEHIND_SECONDS = 5.0
_LOOK_SECONDS = 0.05
# The process is ended if one answer takes longer.
ANSWER_SECONDS = 20.0
# A question that ended this many processes is not asked again.
_ATTEMPTS = 2
_RETRY_MS = 1_000
# Bytes of one answer: a thousand trades, or the tickers of a thousand instruments, have less.
_ANSWER_MAX = 64 * 1024 * 1024

_log = logging.getLogger(__name__)
_decode = msgspec.json.Decoder(PastAnswer).decode


class _Waiting(msgspec.Struct, eq=False):
    """A question that is not answered. `until`, a time of the event loop, ends its wait for the history."""

    question: PastQuestion
    done: PastDone
    until: float
    attempts: int = 0


class PastService:
    """Questions about the journal at `path`. The process starts with the first one, and again if it dies.

    `why_behind` says, in a clause for users, what keeps the history from reaching further. A question waits for the
    history for `behind_seconds`.
    """

    def __init__(self, path: Path, why_behind: Callable[[], str], behind_seconds: float = BEHIND_SECONDS) -> None:
        self._path = path
        self._why_behind = why_behind
        self._behind_seconds = behind_seconds
        # The process that runs; None before the first question, and after it died.
        self.pid: int | None = None
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._unanswered = 0
        self._task: asyncio.Task[None] | None = None

    def ask(self, question: PastQuestion, done: PastDone) -> None:
        """Answer a question later: `done` is called once, never at once."""
        loop = asyncio.get_running_loop()
        if self._unanswered >= QUESTIONS_MAX:
            loop.call_soon(done, rate_limited("too many questions about the past wait: try again later", _RETRY_MS))
            return
        self._unanswered += 1
        self._queue.put_nowait(_Waiting(question, done, loop.time() + self._behind_seconds))
        if self._task is None:
            self._task = loop.create_task(self._keep_answering())

    async def stop(self) -> None:
        """End the process and wait for it. Questions that wait are never answered."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_answering(self) -> None:
        """Answer with one process after another. The next one starts when there is a question."""
        while True:
            waiting = await self._queue.get()
            try:
                async with run_module(
                    worker.__name__, str(self._path), stdin=PIPE, stdout=PIPE, limit=_ANSWER_MAX
                ) as process:
                    self.pid = process.pid
                    while await self._ask(process, waiting):
                        waiting = await self._queue.get()
            except OSError as error:
                _log.error("the process that answers questions about the past cannot be started: %s", error)
                self._finish(waiting, history_unavailable("the history cannot be read now: try again later", _RETRY_MS))
            finally:
                self.pid = None

    async def _ask(self, process: ChildProcess, waiting: _Waiting) -> bool:
        """Ask one question. Returns False if the process must be replaced; the question is then asked again."""
        assert process.stdin is not None and process.stdout is not None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                process.stdin.write(msgspec.json.encode(waiting.question) + b"\n")
                await process.stdin.drain()
                answer = _decode(await process.stdout.readline())
        except (ConnectionError, TimeoutError, ValueError) as error:
            _log.warning("the process that answers questions about the past ended, or took too long (%r)", error)
            self._try_again(waiting)
            return False
        self._take(waiting, answer)
        return True

    def _try_again(self, waiting: _Waiting) -> None:
        waiting.attempts += 1
        if waiting.attempts < _ATTEMPTS:
            self._queue.put_nowait(waiting)
        else:
            detail = "the process that reads the history failed: the server's log has the reason"
            self._finish(waiting, history_unavailable(detail, _RETRY_MS))

    def _take(self, waiting: _Waiting, answer: PastAnswer) -> None:
        """Pass on an answer. If the history is behind, ask again later, for a while."""
        loop = asyncio.get_running_loop()
        if answer.error is not None:
            self._finish(waiting, RpcError(**answer.error))
        elif answer.behind is None:
            self._finish(waiting, answer.result)
        elif loop.time() < waiting.until:
            loop.call_later(_LOOK_SECONDS, self._queue.put_nowait, waiting)
        else:
            detail = answer.reason or f"the history ends with seq {answer.behind}"
            self._finish(waiting, history_unavailable(f"{detail}; {self._why_behind()}", _RETRY_MS))

    def _finish(self, waiting: _Waiting, outcome: msgspec.Raw | RpcError) -> None:
        self._unanswered -= 1
        waiting.done(outcome)
