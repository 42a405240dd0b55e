"""Memory that Python has freed, given back to the system."""

from collections.abc import Callable
from functools import cache


@cache
def _malloc_trim() -> Callable[[int], object] | None:
    """`malloc_trim` of the C library; None if it has none, as those of macOS, Windows and Alpine."""
    # Imported only when it is needed, because it makes the start longer.
    import ctypes

    try:
        function: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    return function


def give_back_memory() -> None:
    """Give freed memory back to the system.

    The C library keeps the gaps between the blocks in use, for later. After a flood of large requests they may be
    more than the rest of the process. It takes about 0.1 ms for each MiB that is given back, and 0.4 ms otherwise.
    Gaps of 500 MiB stop the caller, and threads that share its heap, for 50 to 100 ms.
    """
    if (trim := _malloc_trim()) is not None:
        trim(0)
