"""The stages of an order's path through the main thread, and the functions with which each begins.

A sample of the profile is a stack of frames such as `Engine.step (exchange/engine/engine.py:40)`, or for a compiled
module `CPyDef_engine___Engine___step (exchange/compiled__mypyc.so)`. The deepest frame that is named here decides its
stage.
"""

import re
from collections import Counter
from collections.abc import Iterable

from exchange.compiled import MODULES

# The body of a function that mypyc compiled is a C function whose name begins so.
_COMPILED = "CPyDef_"
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>.+?)(?::(?P<line>\d+))?\)\Z")
# A stack of another thread begins with this function, after those of C.
_OTHER_THREAD = "_bootstrap (threading.py"

LOOP = "loop and socket read"
STAGES = (
    LOOP,
    "frame decode",
    "parameters and envelope",
    "session in",
    "pipeline",
    "journal hand-over, command encode",
    "hash chain",
    "step glue",
    "apply",
    "events",
    "projections",
    "session out",
    "answer encode",
    "publishing",
    "frame encode",
    "socket write",
)

# By function, as the profile names it.
BY_FUNCTION = {
    "SocketConnection.data_received": LOOP,
    "SocketConnection._decode_slice": "frame decode",
    "SocketConnection._on_message": "session in",
    "Session._parse": "parameters and envelope",
    "Session._decode": "parameters and envelope",
    "SocketConnection.take_turn": "session in",
    "Turns._run": "session in",
    "RequestQueue._submit.<locals>.<lambda>": "session out",
    "RequestQueue._on_command_done": "session out",
    "result_text": "answer encode",
    "SocketConnection.send": "frame encode",
    "HeldCloseProtocol.queue_text": "frame encode",
    "Pipeline.run": "pipeline",
    "encode_commands": "journal hand-over, command encode",
    "MeasuredJournal.append": "journal hand-over, command encode",
    "MeasuredJournal.append_answers": "journal hand-over, command encode",
    "MeasuredJournal.append_digests": "journal hand-over, command encode",
    "chain": "hash chain",
    "chain_hash": "hash chain",
    "Engine.step": "step glue",
    "EventsDigest.add": "events",
    "EventsDigest.take_complete": "events",
    "Views.project": "projections",
    "ServedExchange.publish": "publishing",
    "Subscriptions.flush": "publishing",
    "Gateway.send_all": "socket write",
    "SocketConnection.write": "socket write",
}
# By the beginning of the path. The functions above have precedence in the same frame.
_BY_PATH = (
    ("exchange/matching/", "apply"),
    ("exchange/domain/events.py", "events"),
    ("exchange/journal/sqlite_writer.py", "journal hand-over, command encode"),
    ("aiosqlite/", "journal hand-over, command encode"),
)


def samples_by_stage(lines: Iterable[str]) -> Counter[str]:
    """Count the main thread's samples of each stage. `lines`: stacks, root first, joined by `;`, and a number."""
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, number = line.rpartition(" ")
        frames = stack.split(";")
        if not any(_OTHER_THREAD in frame for frame in frames):
            counts[stage_of(frames)] += int(number)
    return counts


def stage_of(frames: list[str]) -> str:
    """The stage of a stack; without a known function the work of the loop itself."""
    return next((stage for stage in map(_stage_of_frame, reversed(frames)) if stage), LOOP)


def _stage_of_frame(frame: str) -> str | None:
    match = _FRAME.fullmatch(frame)
    if match is None:
        return None
    function, file = match["function"], match["file"]
    if function.startswith(_COMPILED):
        function, file = source_of(function)
    if function in BY_FUNCTION:
        return BY_FUNCTION[function]
    return next((stage for path, stage in _BY_PATH if file.startswith(path)), None)


def source_of(function: str) -> tuple[str, str]:
    """The Python name and the path of a function that mypyc compiled, such as `CPyDef_turns___Turns____serve`.

    The name begins with as many of the last parts of its module's name as tell it from others.
    """
    symbol = function.removeprefix(_COMPILED).partition(".")[0]
    for module in MODULES:
        parts = module.split(".")
        for start in range(len(parts)):
            prefix = "___".join(parts[start:]) + "___"
            if symbol.startswith(prefix):
                name = symbol.removeprefix(prefix)
                return name.replace("___", ".", 1), module.replace(".", "/") + ".py"
    return symbol, ""
