"""Identifiers: run uuids and ids, and what a name must be to be taken."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import NewType

from runbundle.base.clock import Clock
from runbundle.base.errors import InvalidName

Digest = NewType("Digest", str)

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_TOKEN = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\Z")
_IDENTIFIER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\Z")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\..*)?\Z", re.IGNORECASE)
_NOT_ON_WINDOWS = frozenset(':*?"<>|')
_INVISIBLE = ("Cf", "Zl", "Zp")  # zero-width and bidi characters, line and paragraph separators
_USUAL = re.compile(
    r"(?!(?:con|prn|aux|nul|com|lpt))[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?\Z", re.IGNORECASE | re.ASCII
)
_MAX_BYTES = 255
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def uuid7(clock: Clock) -> str:
    """A UUID version 7 (RFC 9562, section 5.7): sorted by the millisecond of creation."""
    millis = (clock.now() - _EPOCH) // timedelta(milliseconds=1)  # floats would now and then give the one before
    tail = bytearray(clock.random(10))
    tail[0] = 0x70 | tail[0] & 0x0F
    tail[2] = 0x80 | tail[2] & 0x3F
    digits = f"{millis:012x}{tail.hex()}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def random_text(clock: Clock, count: int) -> str:
    """``count`` random letters and digits, each equally likely."""
    text = ""
    while len(text) < count:
        text += "".join(_LETTERS[byte % 62] for byte in clock.random(2 * count) if byte < 248)
    return text[:count]


def check_component(name: str, *, what: str) -> str:
    """One path component that stays where it is put, and that a seal and a log can name (docs/format.md, I2).

    This is for names that come with a file, as an input's, which is kept as it is: it may hold ``:`` or a zero-width
    character, and then not every disk can hold the run. Names that a program chooses pass ``check_portable``.

    Raises:
        InvalidName: empty, ``.``, ``..``, with a separator, control character or lone surrogate, over 255
            bytes, a Windows device name, with a trailing dot or space, or that of a temporary file.
    """
    return plain(name) if _is_plain(name) else _refuse(name, _component_fault(name), what)


def check_portable(name: str, *, what: str) -> str:
    """A component as ``check_component``, and one that every disk can hold and every reader can tell from others.

    Raises:
        InvalidName: what ``check_component`` refuses, one of ``: * ? " < > |``, or a character that cannot be seen
            (Unicode categories Cf, Zl and Zp: zero-width, bidirectional and separator characters).
    """
    return plain(name) if _is_plain(name) else _refuse(name, _component_fault(name) or _portable_fault(name), what)


def _refuse(name: str, reason: str, what: str) -> str:
    if reason:
        shown = name if isinstance(name, str) and len(name) <= 80 else f"{str(name)[:60]}..."
        raise InvalidName(f"{what} {shown!r} {reason}", hint="Give one plain file name")
    return plain(name)


def _is_plain(name: str) -> bool:
    """Whether a name is of the usual kind, of which no check finds a fault."""
    return isinstance(name, str) and len(name) <= _MAX_BYTES and _USUAL.match(name) is not None


def _portable_fault(name: str) -> str:
    if not _NOT_ON_WINDOWS.isdisjoint(name):
        return 'holds one of : * ? " < > |, which Windows refuses'
    if any(unicodedata.category(char) in _INVISIBLE for char in name):
        return "holds a character that cannot be seen"
    return ""


def _component_fault(name: str) -> str:
    if not isinstance(name, str):
        return "is not text"
    if not name or name in (".", ".."):
        return "names no file"
    faults = (
        ("/" in name or "\\" in name, "holds a path separator"),
        (any(unicodedata.category(char) == "Cc" for char in name), "holds a control character"),
        (any(unicodedata.category(char) == "Cs" for char in name), "is no Unicode"),
        (len(name.encode(errors="replace")) > _MAX_BYTES, f"is longer than {_MAX_BYTES} bytes"),
        (name[-1] in ". ", "ends with a dot or a space"),
        (_RESERVED.match(name), "is a device name on Windows"),
        (name.startswith((".tmp-", ".new-")), "is kept for temporary files"),
    )
    return next((reason for is_faulty, reason in faults if is_faulty), "")


def plain(text: str) -> str:
    """The text of a str, or of an enum's member; ``str()`` of some enums gives the member's name instead."""
    return str.__str__(text) if isinstance(text, str) else text


def fold(path: str) -> str:
    """A path as disks see it that know neither case nor Unicode forms."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def check_token(text: str, *, what: str) -> str:
    """A suffix or variant: ``a-z 0-9 . _ -``, a letter or digit at both ends (docs/format.md, I18).

    Raises:
        InvalidName: anything else: names that differ only in case or Unicode form would meet on some disks.
    """
    if not is_token(text):
        raise InvalidName(
            f"{what} {text!r} is not made of a-z 0-9 . _ - with a letter or digit at both ends",
            hint="Names are lower case so that they stay different on every disk",
        )
    return plain(text)


def is_token(text: str) -> bool:
    """Whether ``check_token`` takes it."""
    return isinstance(text, str) and _TOKEN.match(text) is not None


def check_identifier(text: str, *, what: str) -> str:
    """An id of a contract, artifact, kind, stage or project: ASCII letters, digits, ``. _ -``.

    Raises:
        InvalidName: anything else.
    """
    if not isinstance(text, str) or not _IDENTIFIER.match(text) or len(text) > 128:
        raise InvalidName(f"{what} {text!r} is not an identifier", hint="Use up to 128 ASCII letters, digits and . _ -")
    return check_component(text, what=what)
