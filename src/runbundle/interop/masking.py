"""Secrets in what other programs hand over besides a configuration: masked as ``<secret:KEY>``.

Whoever is in doubt masks: a word of the key is enough. Numbers are never secrets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_KEY = re.compile(
    r"pass(word|wd|phrase|code)|pwd|secret|token(?!i)|credential|authorization|(api|access|private)[_-]?key",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"(://)[^/\s@]+@")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\Z")


def masked(value: Any, key: str = "") -> Any:
    """Plain values with the secrets among them masked."""
    if isinstance(value, Mapping):
        return {name: masked(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item, key) for item in value]
    if not isinstance(value, str) or _NUMBER.match(value):
        return value
    return f"<secret:{key}>" if _KEY.search(key) else _IN_URL.sub(lambda found: f"{found[1]}<secret:{key}>@", value)


def masked_override(text: str) -> str:
    """``key=value`` as Hydra takes it; the whole value is masked if a key in it says so as well."""
    key, equals, value = text.partition("=")
    if not equals:
        return text
    name = key.rpartition(".")[2].strip("+~")
    if any(_KEY.search(word) for word in re.findall(r"([\w.-]+)\s*:", value)):
        return f"{key}=<secret:{name}>"
    return f"{key}={masked(value, name)}"
