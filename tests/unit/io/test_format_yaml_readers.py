"""The two readers of YAML: ours for our own spelling, a library for others. They agree, and neither explodes."""

import random
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbundle.base.errors import DecodeError
from runbundle.base.yamltext import read_other
from runbundle.io.formats import yaml
from runbundle.io.formats._yaml_rows import OtherSpellingError, read_rows

TEXTS = st.text(max_size=8) | st.sampled_from(
    ["\\", "\\x41", "\\\\x41", "\x80", "\\ud800", "\ufeff", "a: b", "- a", "-", '"', "\\u", "\n", "\x7f\\", "{}", "1"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(value=JSON)
@example(value=-5)
@example(value=["\x80\\x41"])
@example(value={"": [{}, [], [[{"a": []}]]]})
def test_both_readers_give_what_was_written(value: Any) -> None:
    text = yaml.dump(value).decode()
    assert repr(read_rows(text)) == repr(read_other(text)) == repr(_sorted(value))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


DOCUMENT = {
    "lr": [1e-05, 0.5, -0.0, 7, -3],
    "text": 'a "b" \\ é\n\x85',
    "net": {"layers": [{"n": 3, "act": None}, [[True], {}]], "": []},
    "xs": "\\x41\\u0041",
}


@pytest.mark.parametrize("seed", range(10))
def test_what_our_reader_takes_of_changed_bytes_the_library_reads_alike(seed: int) -> None:
    source = random.Random(seed)  # noqa: S311 - the same on every machine
    rows = yaml.dump(DOCUMENT).decode()
    taken = 0
    for _ in range(60):
        text = list(rows)
        for _ in range(source.choice((1, 1, 2, 3))):
            place = source.randrange(len(text))
            match source.randrange(4):
                case 0:
                    text[place] = source.choice('"\\ -:{}[]\n019.eaxu#&*!é')
                case 1:
                    text.insert(place, source.choice('"\\ -:{}[]\n019.eaxu#&*!é'))
                case 2:
                    del text[place]
                case _:
                    other = source.randrange(len(text))
                    text[place:place] = text[other : other + source.randrange(1, 20)]
        changed = "".join(text)
        try:
            found = read_rows(changed)
        except OtherSpellingError:
            continue
        taken += 1
        assert repr(read_other(changed)) == repr(found), changed
    assert taken > 0


OTHER_SPELLINGS = {
    "plain text": ("a: b\n", {"a": "b"}),
    "no newline": ('"a": 1', {"a": 1}),
    "flow": ('{"a": [1, 2.5, null]}\n', {"a": [1, 2.5, None]}),
    "comment": ('"a": 1 # one\n', {"a": 1}),
    "blank row": ('"a": 1\n\n"b": 2\n', {"a": 1, "b": 2}),
    "four spaces": ('"a":\n    "b": 1\n', {"a": {"b": 1}}),
    "list not indented": ('"a":\n- 1\n', {"a": [1]}),
    "object in the row of its dash": ('- "a": 1\n  "b": 2\n', [{"a": 1, "b": 2}]),
    "folded text": ('"a": "b\n  c"\n', {"a": "b c"}),
    "other words": ('"a": True\n"b": ~\n', {"a": True, "b": None}),
    "other numbers": ("- 0x1F\n- 1e3\n- +1\n", [31, 1000.0, 1]),
    "line separator in text": ('"a": "\u2028"\n', {"a": "\u2028"}),
    "document marks": ('---\n"a": 1\n...\n', {"a": 1}),
    "nothing": ("", None),
    "a row without a value": ('"a":\n', {"a": None}),
    "directive": ("%YAML 1.1\n---\na: 1\n", {"a": 1}),
}


@pytest.mark.parametrize(("text", "value"), OTHER_SPELLINGS.values(), ids=OTHER_SPELLINGS)
def test_yaml_in_another_spelling_is_read_by_the_library(text: str, value: Any) -> None:
    assert yaml.load(text.encode()) == value


def _laughs(depth: int) -> bytes:
    rows = [b"a: &a [x, x, x, x, x, x, x, x, x]"]
    for above, name in zip(b"abcdefghijklmnop", b"bcdefghijklmnopq"[:depth], strict=False):
        rows.append(b"%c: &%c [%s]" % (name, name, b", ".join([b"*%c" % above] * 9)))
    return b"\n".join(rows)


REFUSED = {
    "billion laughs": _laughs(10),
    "alias": b"a: &a [1]\nb: *a",
    "alias in a merge": b"a: &a {x: 1}\nb: {<<: *a}",
    "alias as key": b"a: &a x\n*a : 1",
    "call": b"!!python/object/apply:os.system ['touch /tmp/it-ran']",
    "new": b"a: !!python/object/new:subprocess.Popen [[ls]]",
    "name": b"!!python/name:os.system",
    "tuple": b"!!python/tuple [1]",
    "set": b"!!set {a}",
    "infinity": b"a: .inf",
    "not a number": b"a: .NaN",
    "float out of range": b"a: 1e999",
    "float out of range, as we spell it": b'"a": 1.0e+999\n',
    "lone surrogate": b'"\\ud800"',
    "lone surrogate as we spell text": b'"a": "\\ud800"\n',
    "surrogate in a key": b'"\\udfff": 1\n',
    "endless integer": b"1" * 5000 + b"\n",
    "endless integer, in hexadecimal": b"0x" + b"f" * 20_000,
    "duplicate key": b'"a": 1\n"a": 1\n',
    "duplicate key spelt otherwise": b'"a": 1\n"\\x61": 1\n',
    "brackets": b"[" * 200_000,
    "braces": b"{" * 200_000,
    "brackets closed": b"[" * 500 + b"]" * 500,
    "dashes": b"- " * 20_000,
    "dashes as we spell them": b"".join(b"  " * depth + b"-\n" for depth in range(1500)),
    "question marks": b"? " * 20_000,
    "UTF-16": '"a": 1\n'.encode("utf-16"),
    "NUL": b'"a": "\0"\n',
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_would_explode_or_run_or_change_is_refused_at_once(data: bytes) -> None:
    yaml.load(b"a: b")  # what is imported on the way is no time or memory of this one
    began = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match=r"^The YAML ") as caught:
            yaml.load(data)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 5  # a hang, not a measure of speed
    assert len(str(caught.value)) < 500
    str(caught.value).encode()


def test_a_long_text_and_many_keys_are_read_at_once() -> None:
    for value in ({"p": "a \\ é\n" * 2_000_000}, {str(number): {"a": [0.5]} for number in range(50_000)}):
        began = time.process_time()
        assert yaml.load(yaml.dump(value)) == value
        assert time.process_time() - began < 20  # the library alone takes minutes
