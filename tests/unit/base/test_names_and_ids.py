import enum
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbundle.base.errors import InvalidName
from runbundle.base.ids import (
    check_component,
    check_identifier,
    check_portable,
    check_token,
    fold,
    is_token,
    plain,
    random_text,
    uuid7,
)
from stand_ins import MOMENT, FixedClock

Check = Callable[..., str]


class Name(StrEnum):
    GRID = "grid"


@settings(deadline=None)
@given(st.datetimes(datetime(1970, 1, 1), datetime(2400, 1, 1)))  # noqa: DTZ001 - made UTC below
@example(datetime(2004, 2, 5, 7, 19, 18, 797_000))  # noqa: DTZ001 - where floats give the millisecond before
def test_a_uuid_holds_its_millisecond(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    made = uuid.UUID(uuid7(FixedClock(moment)))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def test_all_other_bits_of_a_uuid_are_random() -> None:
    zeros, ones = (uuid.UUID(uuid7(FixedClock(noise=noise))).int for noise in (b"\0", b"\xff"))
    assert (zeros ^ ones).bit_count() == 12 + 62
    assert zeros < ones


def test_uuids_sort_by_the_time_they_were_made() -> None:
    noise = [b"\xff", b"\0", b"\x80", b"\x01"]
    made = [uuid7(FixedClock(MOMENT + timedelta(milliseconds=n), noise[n % 4])) for n in range(50)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_random_text_gives_each_letter_the_same_chance() -> None:
    text = random_text(FixedClock(noise=bytes(reversed(range(256)))), 4 * 62)  # each byte once
    assert sorted(text) == sorted("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" * 4)


@pytest.mark.parametrize("count", [0, 1, 8, 100])
def test_random_text_is_as_long_as_asked(count: int) -> None:
    assert len(random_text(FixedClock(noise=bytes([255, 254, 7, 250])), count)) == count


BAD_NAMES = {
    "parent": "..",
    "above": "../x",
    "here": ".",
    "absolute": "/etc/passwd",
    "folder": "a/b",
    "trailing slash": "a/",
    "backslash": "..\\x",
    "drive": "C:\\x",
    "empty": "",
    "NUL": "a\0b",
    "newline": "a\nb",
    "escape": "\x1b[2J",
    "C1 control": "a\x9b",
    "surrogate": "a\udcff",
    "CON": "CON",
    "con.txt": "con.txt",
    "nul device": "nul",
    "com1": "Com1.tar.gz",
    "lpt9": "LPT9",
    "com superscript": "COM¹",
    "lpt superscript with an extension": "lpt³.txt",
    "device and spaces": "con  .txt",
    "console": "CONIN$",
    "console out": "conout$.log",
    "trailing dot": "a.",
    "trailing space": "a ",
    "space": " ",
    "dots": "...",
    "300 characters": "x" * 300,
    "256 bytes": "é" * 128,
}
ONLY_WHOLE = ("con.txt", "nul device", "300 characters")  # a token is a part of a name, and the whole is checked too
NOT_TEXT = {"none": None, "number": 7, "bytes": b"a", "list": ["a"]}


@pytest.mark.parametrize(
    ("check", "name"),
    [
        pytest.param(check, name, id=f"{check.__name__} {title}")
        for check in (check_component, check_portable, check_token, check_identifier)
        for title, name in {**BAD_NAMES, **NOT_TEXT}.items()
        if check is not check_token or title not in ONLY_WHOLE
    ],
)
def test_bad_names_are_refused(check: Check, name: str) -> None:
    with pytest.raises(InvalidName, match=r"^artifact name .") as caught:
        check(name, what="artifact name")
    assert len(str(caught.value)) < 500
    assert repr(name) in str(caught.value) or len(name) > 80
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", [".tmp-1", ".new-1"])
def test_names_of_temporary_files_are_refused(name: str) -> None:
    with pytest.raises(InvalidName, match="temporary"):
        check_component(name, what="name")


@pytest.mark.parametrize(
    "name",
    ["IMG_1234 (1).JPG", ".hidden", "-rf", "~", "größe.png", "日本語.png", "a" * 255, "é" * 127, "conx", "com10", "🌿"],
)
def test_plain_names_are_taken_as_they_are(name: str) -> None:
    assert check_component(name, what="name") == name
    assert check_portable(name, what="name") == name


NOT_PORTABLE = {
    "colon": "a:b.json",
    "stream": "a.json:hidden",
    "star": "*.json",
    "question mark": "why?.txt",
    "less": "a<b",
    "greater": "a>b",
    "bar": "a|b",
    "quote": '"a"',
    "right-to-left override": "photo\u202egpj.exe",
    "isolate": "a\u2066b",
    "right-to-left mark": "\u200fa",
    "zero-width space": "a\u200bb",
    "zero-width joiner": "a\u200db",
    "word joiner": "a\u2060",
    "byte order mark": "\ufeffa",
    "soft hyphen": "a\xadb",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "tag": "a\U000e0041",
}


@pytest.mark.parametrize("name", NOT_PORTABLE.values(), ids=NOT_PORTABLE)
def test_a_name_that_a_program_chooses_is_one_for_every_disk_and_eye(name: str) -> None:
    with pytest.raises(InvalidName, match=r"Windows refuses|cannot be seen") as caught:
        check_portable(name, what="name")
    assert str(caught.value).isprintable()
    assert check_component(name, what="input") == name  # what a photo is called is kept


@pytest.mark.parametrize("text", ["a", "0", "grid_points", "v1.2-rc", "a" * 100, Name.GRID])
def test_tokens(text: str) -> None:
    assert check_token(text, what="suffix") == text
    assert is_token(text)


@pytest.mark.parametrize("text", ["A", "Grid", "_a", "a_", "-a", ".a", "a.", "é", "a b", "a/b", "ﬁ", "a\n", "\uff10"])
def test_no_tokens(text: str) -> None:
    assert not is_token(text)
    with pytest.raises(InvalidName, match="suffix"):
        check_token(text, what="suffix")


@pytest.mark.parametrize("text", ["a", "GridPET", "crv.io", "a-b_c", "A1", "a_", "x" * 128, Name.GRID])
def test_identifiers(text: str) -> None:
    assert check_identifier(text, what="project") == text


@pytest.mark.parametrize("text", ["_a", "-a", ".a", "a.", "a-", "é", "a b", "x" * 129, "a\n", "AUX", "con.x"])
def test_no_identifiers(text: str) -> None:
    with pytest.raises(InvalidName, match="project"):
        check_identifier(text, what="project")


@pytest.mark.parametrize(
    ("one", "other"), [("A.png", "a.PNG"), ("é", "e\u0301"), ("É", "e\u0301"), ("straße", "STRASSE"), ("ﬁ", "FI")]
)
def test_names_that_meet_on_some_disk_fold_alike(one: str, other: str) -> None:
    assert one != other
    assert fold(one) == fold(other)


class MixedName(str, enum.Enum):  # noqa: UP042 - users write ids like this as well
    GRID = "grid"


@pytest.mark.parametrize("name", [Name.GRID, MixedName.GRID, "grid"])
def test_a_member_of_an_enum_is_its_text(name: str) -> None:
    assert (type(plain(name)), plain(name)) == (str, "grid")


@pytest.mark.parametrize("value", NOT_TEXT.values(), ids=NOT_TEXT)
def test_what_is_no_text_is_left_for_others_to_refuse(value: Any) -> None:
    assert plain(value) is value
