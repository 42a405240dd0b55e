"""Print the lower bounds of the run-time dependencies in pyproject.toml as exact versions, one a line."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
for requirement in (*project["dependencies"], *extras["fast"], *extras["charts"], *extras["proof"]):
    match = re.match(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)", requirement)
    if match is None:
        sys.exit(f"pyproject.toml: {requirement!r} has no lower bound; expected a range such as 'click>=8.4,<9'")
    sys.stdout.write(f"{match[1]}=={match[2]}\n")
