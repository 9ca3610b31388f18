"""What a further interpreter runs for ``runbundle.io.hashing``: it needs nothing but the standard library.

Names of files come on standard input, a NUL behind each. For each a line goes out, in the same order: the SHA-256 and
the length; an empty one where the file cannot be read.
"""

import os
import sys
from hashlib import sha256

_READ_BYTES = 1 << 18
_FLUSHED_LINES = 256


def main() -> None:
    """Hash what is named on standard input."""
    out = sys.stdout.buffer
    buffer = bytearray(_READ_BYTES)
    view = memoryview(buffer)
    for number, name in enumerate(sys.stdin.buffer.read().split(b"\0")[:-1], start=1):
        try:
            out.write(_line(name, buffer, view))
        except OSError:
            out.write(b"\n")
        if number % _FLUSHED_LINES == 0:
            out.flush()
    out.flush()


def _line(name: bytes, buffer: bytearray, view: memoryview) -> bytes:
    digest, size = sha256(), 0
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while got := os.readv(fd, [buffer]):
            digest.update(view[:got])
            size += got
            if got < _READ_BYTES:
                break
    finally:
        os.close(fd)
    return f"{digest.hexdigest()} {size}\n".encode()


if __name__ == "__main__":
    main()
