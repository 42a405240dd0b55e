"""What a subprocess of the exchange does for itself. `subprocesses` imports asyncio, which makes a start longer."""

import logging
import os
import signal
import sys
from typing import NoReturn

from exchange.logs import set_up_log_of_subprocess

_log = logging.getLogger(__name__)


def set_up_subprocess() -> None:
    """Prepare the subprocess itself: it leaves Ctrl-C to the exchange, which ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_up_log_of_subprocess()


def end_with(message: str) -> NoReturn:
    """End the subprocess with exit code 1, and tell the log why."""
    _log.error("%s", message)
    sys.exit(1)


def is_orphaned(parent_pid: int) -> bool:
    """True in a subprocess whose parent, the exchange, is gone."""
    return os.getppid() != parent_pid
