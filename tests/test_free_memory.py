"""Freed memory goes back to the system, if the C library can give it back."""

import os
from pathlib import Path

import pytest

from exchange import free_memory

STATM = Path("/proc/self/statm")


def resident_mib() -> float:
    return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(free_memory._malloc_trim() is None, reason="this C library keeps freed memory")
def test_gaps_between_blocks_in_use_are_given_back() -> None:
    blocks = [bytes(40_000) for _ in range(2_000)]
    in_use = blocks[::20]
    del blocks
    before_mib = resident_mib()
    free_memory.give_back_memory()
    assert resident_mib() < before_mib - 40
    assert len(in_use) == 100


def test_a_c_library_that_keeps_freed_memory_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "_malloc_trim", lambda: None)
    free_memory.give_back_memory()
