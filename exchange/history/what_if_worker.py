"""The subprocess of one what-if: a line of its input is the question, and a line of its output the answer."""

import logging
import os
import sys
import time
from pathlib import Path

import msgspec
from msgspec import UNSET

from exchange.domain.commands import ChangeRules
from exchange.domain.events import Refused
from exchange.domain.reasons import REFUSALS, Reason
from exchange.gateway import jsonrpc
from exchange.gateway.exchange_port import PastAnswer, WhatIfQuestion
from exchange.gateway.jsonrpc import RpcError, invalid_params
from exchange.gateway.params import WhatIfParams
from exchange.history.comparison import Pair
from exchange.history.edits import EditError, Edits, IndexPath, Insertion
from exchange.history.moment import Moment, last_seq_at
from exchange.history.what_if import TooLongError, effect_on
from exchange.history_db.past_views import PastViews, open_past_views
from exchange.inside_subprocess import set_up_subprocess
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_reader
from exchange.projections.wire_types import RealAndEdited, WhatIfResult
from exchange.runtime.rule_settings import RulesError, edited_rules

# Commands that both histories replay at most: about 40 s of the time that a what-if has.
COMMANDS_MAX = 300_000
# Nothing else of the exchange shall wait for a what-if.
_MORE_NICENESS = 9
_RETRY_MS = 1_000
# How long it waits for a history that is written a moment after the journal.
_BEHIND_SECONDS = 5.0
_LOOK_SECONDS = 0.05
_PLACED = ("place_order", "place_trigger_order", "place_linked_orders")
# The order with the command that placed it. The id of the command is that of its first order.
_PLACING = """
    SELECT o.user, c.user, c.kind, c.seq, c.order_id = o.order_id OR c.order_id = (
        SELECT l.order_ids ->> '$[0]' FROM linked_order l WHERE l.order_id = o.order_id)
    FROM (SELECT order_id, user, placed_seq FROM book_order UNION ALL
          SELECT order_id, user, placed_seq FROM trigger_order) o
    JOIN command c ON c.seq = o.placed_seq WHERE o.order_id = :order_id AND o.placed_seq <= :seq
    ORDER BY c.seq LIMIT 1"""

_log = logging.getLogger(__name__)


def answer(path: Path, question: WhatIfQuestion, commands_max: int = COMMANDS_MAX) -> PastAnswer:
    """Answer a question about the journal at `path`. Never raises."""
    try:
        params = msgspec.json.decode(question.params, type=WhatIfParams)
        return PastAnswer(msgspec.Raw(jsonrpc.encode(_result(path, question, params, commands_max))))
    except RpcError as error:
        return PastAnswer(error=error.data)
    except TooLongError as error:
        detail = f"{error.commands} commands would be replayed, and at most {commands_max} are: give another range"
        data = {"commands": error.commands, "commands_max": commands_max}
        return PastAnswer(error=invalid_params("from_seq", detail, "what_if_too_long", **data).data)
    except (EditError, RulesError) as error:
        return PastAnswer(error=invalid_params(None, str(error).replace("--set ", "rules: ")).data)
    except JournalError as error:
        return PastAnswer(error=jsonrpc.history_unavailable(str(error), _RETRY_MS).data)
    except Exception:
        _log.exception("a what-if failed")
        return PastAnswer(error=jsonrpc.internal_error().data)


def _result(path: Path, question: WhatIfQuestion, params: WhatIfParams, commands_max: int) -> WhatIfResult:
    edits = _edits(path, _views_at(path, question.last_seq), question, params)
    found = effect_on(path, edits, Moment(question.last_seq), question.user_id, commands_max)
    for inserted in found.comparison.inserted:
        if isinstance(event := inserted.edited[0], Refused):
            raise invalid_params("rules", f"these rules are refused: {REFUSALS[event.reason].detail}")
    compared, user = found.comparison, found.user
    return WhatIfResult(
        question.user_id,
        compared.fork_seq,
        compared.last_seq,
        _pair(user.total_pnl_micros),
        _pair(user.cash_micros),
        _pair(user.settled_micros),
        _pair(user.shortfall_micros),
        _pair(user.fills),
        {name: _pair(pair) for name, pair in user.positions_milli.items()},
        compared.last_seq - compared.fork_seq,
        compared.dropped,
        found.replaced,
        compared.changed,
        found.first_seq,
    )


def _views_at(path: Path, seq: int) -> PastViews:
    """The history after a command. It may be written a moment after the journal. Raises RpcError."""
    with open_journal_reader(path) as reader:
        head = reader.head_at(seq)
    assert head is not None, "a question about a command that the journal does not hold"
    until = time.monotonic() + _BEHIND_SECONDS
    while (views := open_past_views(path, head)) is None:
        if time.monotonic() > until:
            raise jsonrpc.history_unavailable(f"the history does not reach command {seq}", _RETRY_MS)
        time.sleep(_LOOK_SECONDS)
    return views


def _pair(pair: Pair) -> RealAndEdited:
    return RealAndEdited(pair.real, pair.edited)


def _edits(path: Path, views: PastViews, question: WhatIfQuestion, params: WhatIfParams) -> Edits:
    drops = sorted({_placing(views, question.user_id, order_id) for order_id in params.without_orders})
    settings = [f"{name}={value}" for name, value in params.rules.items()]
    inserts = dict[int, list[Insertion]]()
    if settings and params.from_seq is not None:
        rules = views.at(params.from_seq).rules
        inserts[params.from_seq] = [Insertion("rules", ChangeRules(edited_rules(rules, settings), UNSET))]
    elif settings:
        # The settings must exist.
        edited_rules(views.rules, settings)
    paths = {asset: _path(path, asset, points) for asset, points in params.index_paths.items()}
    for asset, one in paths.items():
        if one.after_seq >= question.last_seq:
            raise invalid_params("index_paths", f"the path of {asset} begins after command {question.last_seq}")
    return Edits([(seq, seq) for seq in drops], (), inserts, settings, params.from_seq or 0, paths)


def _placing(views: PastViews, user_id: str, order_id: int) -> int:
    """The command that placed an order of the user. Raises RpcError."""
    row = views.query(_PLACING, order_id=order_id).fetchone()
    user = views.user_key(user_id)
    if row is None or row[0] != user:
        detail = f"{user_id} had no order {order_id} up to command {views.seq}"
        raise invalid_params("without_orders", detail, Reason.ORDER_NOT_FOUND.value)
    _, sender, kind, seq, is_own = row
    if sender != user or kind not in _PLACED or not is_own:
        detail = f"no command placed order {order_id} alone: it is a quote, or an effect of another order or price"
        raise invalid_params("without_orders", detail)
    return int(seq)


def _path(path: Path, asset: str, points: list[tuple[int, int]]) -> IndexPath:
    with open_journal_reader(path) as reader:
        return IndexPath(points, last_seq_at(reader, points[0][0] - 1))


def main() -> None:
    """Answer the question in the first line of the input about the journal in the first argument."""
    set_up_subprocess()
    os.nice(_MORE_NICENESS)
    question = msgspec.json.decode(sys.stdin.buffer.readline(), type=WhatIfQuestion)
    sys.stdout.buffer.write(msgspec.json.encode(answer(Path(sys.argv[1]), question)) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
