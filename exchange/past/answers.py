"""Answers questions about the past from the history of a journal."""

import contextlib
import logging
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from exchange.gateway import jsonrpc
from exchange.gateway.deribit.questions import QUESTIONS as DERIBIT_QUESTIONS
from exchange.gateway.exchange_port import PastAnswer, PastQuestion
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.methods import METHODS, Method
from exchange.gateway.past_questions import unknown_moment
from exchange.history_db.file import HistoryError, head_of, history_path, open_history
from exchange.history_db.past_views import PastViews
from exchange.journal.errors import JournalArchivedError
from exchange.journal.records import Head
from exchange.past.past_exchange import PastCaller, PastExchange

# Moments whose read models stay in memory. A client mostly asks several questions about one moment.
MOMENTS_KEPT = 4

_log = logging.getLogger(__name__)


class PastAnswers:
    """Answers from the history of the journal at `path`, which is opened again if another file takes its place.

    `fits` returns True if the journal holds this end of a history. Answers about one moment are the same at any time.
    """

    def __init__(self, path: Path, fits: Callable[[Head], bool]) -> None:
        self._path = path
        self._fits = fits
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._views: OrderedDict[int, PastViews] = OrderedDict()

    def close(self) -> None:
        """Close the history."""
        self._views.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def answer(self, question: PastQuestion) -> PastAnswer:
        """Answer a question. Never raises."""
        try:
            connection = self._opened()
            last = head_of(connection)
            reached = last.seq if question.at_ts_us is None else last.ts_us - 1
            if reached < (question.at_seq or question.at_ts_us or 0):
                return self._behind(last.seq)
            return PastAnswer(result=msgspec.Raw(jsonrpc.encode(self._result(connection, question))))
        except RpcError as error:
            return PastAnswer(error=error.data)
        except (HistoryError, sqlite3.Error) as error:
            self.close()
            return PastAnswer(behind=0, reason=str(error))
        except Exception:
            _log.exception("a question about the past failed: %s", question.method)
            return PastAnswer(error=jsonrpc.internal_error().data)

    def _behind(self, seq: int) -> PastAnswer:
        """The history does not reach the moment. It may have been replaced: then the next answer opens the new one."""
        if self._inode_now() != self._inode:
            self.close()
        return PastAnswer(behind=seq)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._inode = self._inode_now()
            connection = open_history(self._path)
            if (end := head_of(connection)).seq and not self._fits(end):
                connection.close()
                raise HistoryError("the history does not belong to this journal")
            self._connection = connection
        return self._connection

    def _inode_now(self) -> int:
        with contextlib.suppress(OSError):
            return os.stat(history_path(self._path)).st_ino
        return 0

    def _result(self, connection: sqlite3.Connection, question: PastQuestion) -> Any:
        method = METHODS.get(question.method) or DERIBIT_QUESTIONS[question.method]
        views = self._views_at(connection, question)
        if method.access == "private" and question.user_id not in views.balances.users:
            raise unknown_moment(_param_of(question), f"{question.user_id} had no account at seq {views.seq}")
        try:
            return _handled(method, PastCaller(PastExchange(views), question.user_id), question.params)
        except JournalArchivedError:
            raise jsonrpc.order_archived(_first_seq(connection) + 1) from None

    def _views_at(self, connection: sqlite3.Connection, question: PastQuestion) -> PastViews:
        seq = question.at_seq if question.at_ts_us is None else _last_seq_at(connection, question.at_ts_us)
        assert seq is not None, "a question without a moment"
        first_seq = _first_seq(connection)
        if seq < first_seq:
            raise unknown_moment(_param_of(question), f"the history begins later: its first command is {first_seq}")
        views = self._views.pop(seq, None) or PastViews(connection, seq)
        self._views[seq] = views
        if len(self._views) > MOMENTS_KEPT:
            self._views.popitem(last=False)
        return views


def _handled(method: Method, caller: PastCaller, params: msgspec.Raw) -> Any:
    return method.handle(caller, method.decode(params))


def _param_of(question: PastQuestion) -> str:
    return "at_seq" if question.at_ts_us is None else "at_ts_us"


def _first_seq(connection: sqlite3.Connection) -> int:
    (seq,) = connection.execute("SELECT seq FROM commands ORDER BY seq LIMIT 1").fetchone()
    return int(seq)


def _last_seq_at(connection: sqlite3.Connection, ts_us: int) -> int:
    """The last seq at or before a time; the one before the first if there is none. Times rise with seqs: O(log n)."""
    low, high = _first_seq(connection) - 1, head_of(connection).seq
    while low < high:
        middle = (low + high + 1) // 2
        ((middle_us,),) = connection.execute("SELECT ts_us FROM commands WHERE seq = ?", (middle,))
        low, high = (middle, high) if middle_us <= ts_us else (low, middle - 1)
    return low
