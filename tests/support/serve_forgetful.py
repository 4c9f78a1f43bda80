"""Starts kvcore with a disk that says yes and forgets: the control of the kill test.

`python serve_forgetful.py KIND …flags`, where KIND is `cut` (after a while nothing is written
any more) or `buffered` (the newest 256 KiB stay in this process: more than the load has in
flight, so acked writes are among them). An ack from such a server is a lie, and a test of
durability that passes on it tests nothing.
"""

import sys

from kvcore.server.main import serve
from kvcore.storage.files import OsFile

CUT_AFTER_BYTES = 60_000
BUFFER_BYTES = 256 * 1024

_write = OsFile.write
_written = 0
_buffers: dict[OsFile, bytearray] = {}


def _write_until_cut(file: OsFile, data: bytes) -> None:
    global _written  # noqa: PLW0603 (one process, one disk)
    _written += len(data)
    if _written <= CUT_AFTER_BYTES:
        _write(file, data)


def _write_later(file: OsFile, data: bytes) -> None:
    buffer = _buffers.setdefault(file, bytearray())
    buffer += data
    if (excess := len(buffer) - BUFFER_BYTES) > 0:
        _write(file, bytes(buffer[:excess]))
        del buffer[:excess]


if __name__ == "__main__":
    OsFile.write = {"cut": _write_until_cut, "buffered": _write_later}[sys.argv[1]]  # type: ignore[method-assign]
    sys.exit(serve(sys.argv[2:]))
