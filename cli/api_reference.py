"""Writes docs/asyncapi.yaml from the table of channels. `make docs` runs it, and a test compares."""

import json
from pathlib import Path
from typing import Any

import yaml

from exchange.gateway.channel_document import asyncapi_document

DOCS = Path(__file__).resolve().parents[1] / "docs"
_WIDTH = 110  # columns


def documents() -> dict[str, str]:
    """The text of each generated file in docs/, by its name."""
    return {"asyncapi.yaml": _yaml(asyncapi_document())}


def _yaml(document: dict[str, Any]) -> str:
    # A copy in which no part occurs twice, because YAML would write the second one as an alias.
    copy = json.loads(json.dumps(document))
    text: str = yaml.safe_dump(copy, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return "# Written by `make docs`.\n" + text


if __name__ == "__main__":
    for name, content in documents().items():
        (DOCS / name).write_text(content, encoding="utf-8")
