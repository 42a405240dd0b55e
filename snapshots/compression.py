"""Compression in the format of zlib. The library isal of the extra `fast` takes a third of the CPU time of zlib."""

import zlib
from collections.abc import Callable
from typing import cast

# The fastest level. Compression is there to save disk time, which the journal needs.
_LEVEL = 1

_compress: Callable[[bytes, int], bytes] = zlib.compress
_decompress: Callable[[bytes], bytes] = zlib.decompress
_errors: tuple[type[Exception], ...] = (zlib.error,)
try:
    from isal import igzip_lib, isal_zlib
except ImportError:
    pass
else:
    _compress, _decompress, _errors = (
        isal_zlib.compress,
        isal_zlib.decompress,
        # The stub of the library declares an instance.
        (zlib.error, cast(type[Exception], igzip_lib.IsalError)),
    )


class CompressionError(Exception):
    """The bytes are not a result of `compress`."""


def compress(content: bytes) -> bytes:
    """Return the content compressed."""
    return _compress(content, _LEVEL)


def decompress(body: bytes) -> bytes:
    """Return the content that `compress` compressed. Raises CompressionError."""
    try:
        return _decompress(body)
    except _errors as error:
        raise CompressionError(str(error)) from error
