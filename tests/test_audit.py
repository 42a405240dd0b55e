"""`make audit` never calls a package sound that nobody checked."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location("audit", Path(__file__).parents[1] / ".ci" / "audit.py")
assert _SPEC is not None and _SPEC.loader is not None
audit = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(audit)

SOUND = {"name": "click", "version": "8.5.1", "vulns": []}
UNSAFE = {"name": "rich", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"]}]}
UNKNOWN = {"name": "altair", "skip_reason": "Dependency not found"}
OWN = {"name": "event-sourced-exchange", "skip_reason": "distribution marked as editable"}


@pytest.mark.parametrize(
    ("packages", "code", "report"),
    [
        ([SOUND, OWN], 0, "1 packages checked: no known vulnerability"),
        ([SOUND, UNSAFE], 1, "rich 1.0: PYSEC-1, fixed in 1.1, 2.0"),
        ([SOUND, UNKNOWN], 2, "cannot audit 1 of 2 packages: the index has no record of altair"),
        ([UNSAFE, UNKNOWN], 1, "cannot audit 1 of 2 packages"),
    ],
)
def test_the_exit_code_says_what_was_found(packages: list[dict[str, Any]], code: int, report: str) -> None:
    found, text = audit.judge(json.dumps({"dependencies": packages}), "")
    assert found == code
    assert report in text


def test_without_the_index_it_says_that_it_cannot_audit() -> None:
    code, text = audit.judge("", "Traceback ...\nConnectionError: no route")
    assert code == 2
    assert text.startswith("cannot audit: ") and text.endswith("ConnectionError: no route")
