"""Print the CPU seconds that the matcher of any checkout takes for the commands of a file.

    PYTHONPATH=CHECKOUT python benchmarks/apply_file.py FILE PREPARED

Each line is a command as the journal records it. The first PREPARED commands are not measured. It needs the matcher
alone, so that checkouts of earlier versions can be compared.
"""

import gc
import sys
import time
from pathlib import Path

from exchange.domain.commands import decode_command
from exchange.matching.apply import apply
from exchange.matching.state import State


def main(file: str, prepared: int) -> None:
    """Apply the commands."""
    commands = [decode_command(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    state = State()
    for command in commands[:prepared]:
        apply(state, 1, command)
    measured = commands[prepared:]
    gc.collect()
    gc.disable()
    began = time.process_time()
    for command in measured:
        apply(state, 1, command)
    sys.stdout.write(f"{time.process_time() - began}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
