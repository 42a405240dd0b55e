"""Questions about the past cost no more when the history grows: SQLite's steps at two sizes of one live market.

A query that names a user, an instrument, an order or a time does the same work for the same number of rows. A query
over everything does the same work for each command. `benchmarks/history.py` measures both at a million commands.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from benchmarks.history_questions import Names, Question, cookbook, moments, names_of, present, views
from benchmarks.live_journal import build
from exchange.history.sql import SqlSession

SIZES, SOAK_SIZES = (2_000, 8_000), (10_000, 100_000)
# SQLite reports after each of this many steps of its virtual machine.
STEPS = 50
# Steps that no one notices, in the unit above.
FEW = 40
# Queries that name one account, one order or an early moment.
KEYED_RECIPES = ("The life of order 1", "The orders that were open after command 100", "Changes of the rules")
# Queries over rows that grow in another way than the commands.
READ_ROWS = {"cookbook: Why commands were refused, by hour": "commands_decoded WHERE outcome = 'refused'"}


class Sized:
    """The history of a live market with this many commands, and the questions about it, by name."""

    def __init__(self, path: Path, commands: int) -> None:
        build(path, commands)
        names = names_of(path)
        self.questions = {one.name: one for one in _questions(names) if one.sql}
        self.session = SqlSession(path)

    def cost(self, name: str) -> tuple[int, int]:
        """Steps, in units of STEPS, and rows of a query."""
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        connection = self.session.run("SELECT 1").connection
        connection.set_progress_handler(count, STEPS)
        rows = sum(1 for _ in self.session.rows(self.session.run(self.questions[name].sql)))
        connection.set_progress_handler(None, 0)
        return steps, rows

    def count(self, view: str) -> int:
        """The number of rows of a view."""
        (count,) = self.session.run(f"SELECT count(*) FROM {view}").fetchone()
        return int(count)


@pytest.fixture(
    scope="module",
    params=[SIZES, pytest.param(SOAK_SIZES, marks=pytest.mark.soak)],
    ids=lambda sizes: " and ".join(map(str, sizes)),
)
def sizes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sized, Sized]]:
    folder = tmp_path_factory.mktemp("growth")
    small, large = (Sized(folder / f"{commands}.db", commands) for commands in request.param)
    with small.session, large.session:
        yield small, large


def _questions(names: Names) -> Iterator[Question]:
    return chain(moments(names), present(names), views(names), cookbook())


def _is_keyed(question: Question) -> bool:
    return not question.name.startswith("cookbook: ") or question.name.endswith(KEYED_RECIPES)


@pytest.mark.long
def test_steps_at_most_double_for_an_equal_number_of_rows(sizes: tuple[Sized, Sized]) -> None:
    small, large = sizes
    growth = max(large.count(view) / small.count(view) for view in ("commands_decoded", "orders", "trades", "ledger"))
    too_many = []
    for name, question in large.questions.items():
        (small_steps, small_rows), (large_steps, large_rows) = small.cost(name), large.cost(name)
        times = max(1.0, large_rows / max(small_rows, 1)) if _is_keyed(question) else growth
        if read := READ_ROWS.get(name):
            times = large.count(read) / max(small.count(read), 1)
        if large_steps > 2 * times * max(small_steps, 1) + FEW:
            too_many.append(f"{name}: {small_steps} steps, {small_rows} rows; {large_steps} steps, {large_rows} rows")
    assert not too_many, "\n".join(too_many)
