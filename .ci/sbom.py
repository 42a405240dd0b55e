"""Write the bill of materials (CycloneDX) of a wheel next to it: python .ci/sbom.py WHEEL ENVIRONMENT.

ENVIRONMENT is a virtual environment with the wheel and all that it needs to run, and nothing else.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

wheel, environment = Path(sys.argv[1]), sys.argv[2]
program = Path(sys.executable).with_name("cyclonedx-py")
options = ("--pyproject", "pyproject.toml", "--mc-type", "application", "--output-reproducible")
bill = json.loads(
    subprocess.run([program, "environment", *options, environment], check=True, capture_output=True).stdout
)

# The version is not in pyproject.toml, and only the hash ties the bill to one file.
name, version, *_ = wheel.name.split("-")
described = bill["metadata"]["component"]
described["version"] = version
described["purl"] = f"pkg:pypi/{described['name']}@{version}"
described["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
wheel.with_suffix(".cdx.json").write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
