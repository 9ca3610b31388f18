"""Rules over a run: a SQL WHERE over ``config.*``, ``metrics.*``, ``status`` and the like.

A name is one word, or several with dots between them; in double quotes it may hold anything:
``metrics.val_iou > 0.8 and config.model.name like 'unet%' and metrics."val/loss" < 0.2``. Names are taken out before
SQLite sees the rule, and their values are handed to it as parameters: there is no table, and nothing but expressions.
"""

from __future__ import annotations

import difflib
import math
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import InvalidType, InvalidValue
from runbundle.run.run import Run

Name = tuple[str, ...]  # the parts of a name: what stands between its dots
Scalar = str | int | float | None

_LONGEST = 10_000
_FUNCTIONS = frozenset(
    {
        *("abs", "coalesce", "glob", "ifnull", "iif", "instr", "length", "like", "lower", "ltrim", "max", "min"),
        *("nullif", "round", "rtrim", "sign", "substr", "trim", "upper"),
    }
)
_KEYWORDS = frozenset(
    {
        *("and", "as", "between", "binary", "case", "cast", "collate", "distinct", "else", "end", "escape", "false"),
        *("from", "glob", "in", "integer", "is", "isnull", "like", "nocase", "not", "notnull", "null", "numeric"),
        *("or", "real", "rtrim", "text", "then", "true", "when"),
    }
)
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>'(?:[^']|'')*')
    |(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z_]))
    |(?P<name>(?:"(?:[^"]|"")+"|[A-Za-z_]\w*)(?:\.(?:"(?:[^"]|"")+"|\w+))*)
    |(?P<sign>\|\||<=|>=|<>|!=|==|[+*%<>=(),~&|]|-(?!-)|/(?!\*))
    """,
    re.VERBOSE,
)
_PART = re.compile(r'"(?:[^"]|"")+"|\w+')
_OWN = (
    *("run_id", "run_uuid", "project_name", "status", "created_at_utc", "finished_at_utc", "git_hash", "git_dirty"),
    *("python", "platform"),
)


def facts_of(run: Run) -> dict[Name, Any]:
    """What a rule may ask of a run: ``status`` and others of its manifest, ``config.*``, and ``metrics.*``."""
    facts: dict[Name, Any] = {(name,): run.manifest[name] for name in _OWN if name != "status"}
    facts["status",] = run.status
    facts |= {("config", *name): value for name, value in _flat(run.config)}
    return facts | {("metrics", name): value for name, value in run.summary.items()}


def _flat(value: Mapping[str, Any], above: Name = ()) -> Iterator[tuple[Name, Any]]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, (*above, name))
        else:
            yield (*above, name), item


def holds(rule: str, facts: Mapping[Name, Any]) -> bool:
    """Whether a rule holds; one that comes out as NULL, as any comparison with a value that is missing, does not.

    Raises:
        InvalidValue: it is no rule, or names something that the run does not have.
    """
    if not isinstance(rule, str):
        raise InvalidType(
            f"A rule is text, not {type(rule).__name__}", hint="Write it as text: \"status = 'completed'\""
        )
    if len(rule) > _LONGEST:
        raise InvalidValue(f"The rule has more than {_LONGEST} characters", hint="Shorten it")
    values: dict[Name, Scalar] = {}
    words = [_word(kind, text, rule, facts, values) for kind, text in _tokens(rule)]
    if not any(word.strip() for word in words):
        raise InvalidValue("The rule is empty", hint="Write metrics.val_iou > 0.8, say")
    with closing(sqlite3.connect(":memory:")) as base:
        base.set_authorizer(_Expressions())
        try:
            rows = base.execute(f"SELECT ({''.join(words)}) IS TRUE", tuple(values.values())).fetchall()
        except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
            raise _wrong(rule, str(error)) from error
    return bool(rows[0][0])


class _Expressions:
    """What SQLite may do: one SELECT without a table, and a few functions of values."""

    def __init__(self) -> None:
        self.selects = 0

    def __call__(self, action: int, _: str | None, name: str | None, *__: str | None) -> int:
        if action == sqlite3.SQLITE_SELECT:
            self.selects += 1
            return sqlite3.SQLITE_OK if self.selects == 1 else sqlite3.SQLITE_DENY
        is_known = action == sqlite3.SQLITE_FUNCTION and str(name).lower() in _FUNCTIONS
        return sqlite3.SQLITE_OK if is_known else sqlite3.SQLITE_DENY


def _tokens(rule: str) -> Iterator[tuple[str, str]]:
    """The words of a rule; parentheses close what they open, and nothing that stands outside."""
    at, depth = 0, 0
    while at < len(rule):
        match = _TOKEN.match(rule, at)
        if match is None:
            raise _wrong(rule, f"{rule[at : at + 12]!r} cannot stand in it")
        kind, text = str(match.lastgroup), match[0]
        depth += (text == "(") - (text == ")")
        if depth < 0:
            raise _wrong(rule, "it closes a parenthesis that it did not open")
        yield kind, text
        at = match.end()
    if depth:
        raise _wrong(rule, "it leaves a parenthesis open")


def _word(kind: str, text: str, rule: str, facts: Mapping[Name, Any], values: dict[Name, Scalar]) -> str:
    """A word as SQLite is given it: for a name the number of a parameter."""
    if kind != "name" or text.lower() in _KEYWORDS:
        return text
    name = tuple(part[1:-1].replace('""', '"') if part[0] == '"' else part for part in _PART.findall(text))
    if name not in facts:
        dotted = [known for known in facts if ".".join(known) == ".".join(name)]
        if len(dotted) != 1:
            if text.lower() in _FUNCTIONS:
                return text
            raise _unknown(text, name, rule, facts)
        name = dotted[0]
    if name not in values:
        values[name] = _scalar(facts[name])
    return f"?{list(values).index(name) + 1}"


def _scalar(value: Any) -> Scalar:
    """A value as SQLite has it: lists as JSON, integers beyond 64 bits as floats, no NaN."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else float(value)
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return jsontext.line({"": value}).decode()[4:-2]


def _unknown(text: str, name: Name, rule: str, facts: Mapping[Name, Any]) -> InvalidValue:
    known = {".".join(each): each for each in facts}
    ends = [dotted for dotted in known if dotted.rpartition(".")[2] == name[-1]]  # seed, of config.seed
    near = list(dict.fromkeys([*ends, *difflib.get_close_matches(".".join(name), known, n=3, cutoff=0.5)]))[:3]
    told = f"It has {', '.join(near)}" if near else "It has config.*, metrics.*, status and others of the manifest"
    hint = f"{told}. Text stands in single quotes: 'completed'"
    return InvalidValue(f"The rule {rule!r} names {text}, which the run does not have", hint=hint)


def _wrong(rule: str, reason: str) -> InvalidValue:
    return InvalidValue(
        f"The rule {rule[:200]!r} cannot be understood: {reason}",
        hint="It is a SQL WHERE, such as: metrics.val_iou > 0.8 and status = 'completed'",
    )
