"""docs/guarantees.md: each promise is one sentence with its limits, and the tests that it names exist and are run."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
PROMISES = [re.sub(r"\s+", " ", text) for text in re.split(r"^\d+\. ", PAGE, flags=re.MULTILINE)[1:]]
PROMISES = [text.partition(" ## ")[0].strip() for text in PROMISES]
NAMED = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)


@cache
def _tests_in(file: str) -> dict[str, list[str]]:
    """The test functions of a file, each with the names in its decorators."""
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name: [ast.unparse(mark) for mark in node.decorator_list] for node in functions}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda text: text[2:50])
def test_a_promise_is_one_sentence_with_limits_and_tests(promise: str) -> None:
    test = r"`test_\w+\.py::test_\w+`"
    assert re.fullmatch(rf"\*\*[^*.]+\.\*\* Limits: [^*]+\. Tests: {test}(, {test})*", promise), promise


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_the_tests_of_each_promise_exist_and_run(file: str, name: str) -> None:
    """A soak test does not guard a promise, because only `make soak` runs it."""
    marks = _tests_in(file)[name]
    assert not any(re.match(r"pytest\.mark\.(soak|skip|xfail)\b", mark) for mark in marks), marks


def test_no_test_name_is_written_in_another_form() -> None:
    assert len(re.findall(r"`test_", PAGE)) == len(NAMED)
