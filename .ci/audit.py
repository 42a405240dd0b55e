"""Report known vulnerabilities of the installed packages.

Exit codes: 0 none, 1 some, 2 not all packages could be checked. pip-audit asks the package index about each version. It
counts packages without a record as sound, and a failed connection as a vulnerability; here both are exit code 2. There
is no stored database: without the index there is no answer.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

# The project itself is in no index.
OWN_NAME = "event-sourced-exchange"


def judge(stdout: str, stderr: str) -> tuple[int, str]:
    """The exit code and the report for the output of pip-audit."""
    try:
        packages: list[dict[str, Any]] = json.loads(stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (stderr.strip().splitlines() or ["it printed nothing"])[-1]
        return 2, f"cannot audit: pip-audit could not ask the package index. Connect to it, then try again.\n  {reason}"
    unknown = [p for p in packages if "skip_reason" in p and p["name"] != OWN_NAME]
    unsafe = [p for p in packages if p.get("vulns")]
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'none'}"
        for package in unsafe
        for found in package["vulns"]
    ]
    checked = sum("skip_reason" not in p for p in packages)
    if unknown:
        names = ", ".join(p["name"] for p in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        lines.append(
            f"cannot audit {len(unknown)} of {checked + len(unknown)} packages: the index has no record of {names}"
        )
    if not lines:
        lines.append(f"{checked} packages checked: no known vulnerability")
    return (1 if unsafe else 2 if unknown else 0), "\n".join(lines)


def main() -> int:
    program = Path(sys.executable).with_name("pip-audit")
    options = ("--local", "--skip-editable", "--format", "json", "--progress-spinner", "off")
    done = subprocess.run([program, *options], capture_output=True, text=True)
    code, report = judge(done.stdout, done.stderr)
    (sys.stderr if code else sys.stdout).write(f"{report}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
