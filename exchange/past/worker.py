"""The subprocess that answers questions about the past: each line of its input is a question, and one line answers it.

It ends with its input, so also with the exchange.
"""

import gc
import sys
from pathlib import Path

import msgspec

from exchange.gateway.exchange_port import PastQuestion
from exchange.inside_subprocess import set_up_subprocess
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head
from exchange.past.answers import PastAnswers


def main() -> None:
    """Answer questions about the journal in the first argument until the input ends."""
    set_up_subprocess()
    gc.freeze()
    path = Path(sys.argv[1])

    def fits(end: Head) -> bool:
        with open_journal_reader(path) as reader:
            return reader.head_at(end.seq) == end

    answers, decode, encode = PastAnswers(path, fits), msgspec.json.Decoder(PastQuestion).decode, msgspec.json.encode
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(encode(answers.answer(decode(line))) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
