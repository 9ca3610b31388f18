"""Secrets never land in a run: what is masked, and where (docs/format.md, section 4.2).

A secret is text under a key that says so, a credential in a URL or a header, or an option of the command line that says
so; in other text, an option, a variable of the environment or a literal beside such a name. It is written as
``<secret:KEY>``. What a configuration holds of them is known from then on, and is taken out of all text that the
library records besides: the facts, the command line, errors, tracebacks, text logs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from runbundle.run.settings.config import Config, below, texts

_WORDS = frozenset(
    (
        *("password", "passwords", "passwd", "passphrase", "passcode", "pwd", "secret", "secrets", "token"),
        *("credential", "credentials", "authorization", "apikey", "apikeys", "accesskey", "privatekey", "secretkey"),
    )
)
_PAIRS = frozenset(
    (first, second)
    for first in ("api", "access", "private", "secret", "auth", "account", "encryption", "signing", "ssh", "service")
    for second in ("key", "keys", "tokens")
)
# what stands before `token` where the token is one of a vocabulary, as language models name theirs
_VOCABULARY = frozenset(
    (
        *("pad", "eos", "bos", "unk", "cls", "sep", "mask", "special", "start", "end", "stop", "image", "blank"),
        *("max", "min", "num"),
    )
)
_SPLIT = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?\Z")
_REFERENCE = re.compile(r"\$\{(?:oc\.env:\w+|[\w.\[\]]+)\}\Z")  # names what holds the value, and is not the value
_MASK = re.compile(r"<secret:[^<>]*>")
# names are bounded: else a long text of dots or dashes takes the square of its length
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,40}://)([^\s/?#\"'<>]+)@")
_PARAMETER = re.compile(r"([?&;#]([A-Za-z][\w.-]*)=)([^&;#\s\"'<>]+)")
_BEARER = re.compile(r"\b((?:[Bb]earer|[Bb]asic)\s+)([A-Za-z0-9._~+/-]{8,}=*)")
_OPTION = re.compile(r"([-+~]*)([A-Za-z_][\w./@-]*)\Z")
_ASSIGNED = re.compile(r"([-+~]*)([A-Za-z_][\w./@-]*)(=|:\s*)(.+)\Z", re.DOTALL)
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_MEMBER = re.compile(rf"((['\"]?)([A-Za-z_][\w-]{{0,80}})\2\s*[:=]\s*)({_QUOTED}|[^\s,{{}}\[\]\"']+)")
# of what programs and people write: `{"password": "..."}`, `password='...'`, `environ["API_TOKEN"] = "..."`
_LITERAL = re.compile(rf"((['\"]?)\b([A-Za-z_][\w.-]{{0,80}})\2\]?\s*[:=]\s*)({_QUOTED})")
# `--token X`, `--token=X`, and as lists of words are spelt: `'--token', 'X'`
_FLAG = re.compile(r"(?<![\w-])(--([A-Za-z][\w.-]{0,80})(?:=|\s+|['\"],\s*['\"]))([^\s'\",;|&)\]]+)")
_VARIABLE = re.compile(r"(?<![\w.-])(([A-Z][A-Z0-9_]*)=)([^\s'\";|&$][^\s'\";|&]*)")
_KEY_BLOCK = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END |\Z)", re.DOTALL)
_SUSPECT = re.compile(r"://|=|<secret:|[Bb]earer|[Bb]asic|--|[\"']")
_SHORTEST = 4  # characters of a secret that is looked for in other text
_LONG = 8  # a shorter one is taken out of a configuration as a word, not as a part of one


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """Whether a key says that its text is a secret: by whole words, in ``camelCase``, ``snake_case`` or ``kebab-case``.

    ``eos_token`` and the like, tokens of a vocabulary, are none.
    """
    words = [word.lower() for word in _SPLIT.split(key) if word]
    for before, word in zip([None, *words], words, strict=False):
        if word in _WORDS and not (word == "token" and before in _VOCABULARY):
            return True
        if (before, word) in _PAIRS:
            return True
    return False


def mask_text(text: str, key: str = "url") -> str:
    """Text without the credentials of URLs and headers in it, ``<secret:key>`` in their place."""
    if "://" in text or "=" in text:
        text = _USERINFO.sub(lambda found: f"{found[1]}{_userinfo(found[1], found[2], key)}@", text)
        text = _PARAMETER.sub(lambda found: f"{found[1]}<secret:{key}>" if _signs(found[2]) else found[0], text)
        text = _VARIABLE.sub(lambda found: _mask_named(found, 2, 3), text)
    if "earer" in text or "asic" in text:
        text = _BEARER.sub(lambda found: f"{found[1]}<secret:{key}>", text)
    if "--" in text:
        text = _FLAG.sub(lambda found: _mask_named(found, 2, 3), text)
        text = _KEY_BLOCK.sub(lambda found: f"{found[1]}<secret:{key}>", text)
    if '"' in text or "'" in text:
        text = _LITERAL.sub(_mask_literal, text)
    return text


def _mask_named(found: re.Match[str], name: int, value: int) -> str:
    return f"{found[1]}<secret:{found[name]}>" if _is_secret_for(found[name], found[value]) else found[0]


def _mask_literal(found: re.Match[str]) -> str:
    """A literal beside a name; a short one may be a word of a text, such as a token."""
    mark, inner = found[4][0], found[4][1:-1]
    is_long = len(inner) >= _LONG and _is_secret_for(found[3], inner)
    return f"{found[1]}{mark}<secret:{found[3]}>{mark}" if is_long else found[0]


def _signs(parameter: str) -> bool:
    """Whether a parameter of a URL lets in whoever has it: also the signature of one that was signed beforehand."""
    return is_secret_key(parameter) or parameter.lower().rpartition("-")[2] in ("sig", "signature")


def _userinfo(scheme: str, info: str, key: str) -> str:
    user, colon, password = info.partition(":")
    if colon:
        return f"{user}:<secret:{key}>" if password else info
    return f"<secret:{key}>" if scheme.lower().startswith("http") else info  # of git@host the user is no secret


@dataclass(frozen=True, slots=True)
class Shown:
    """A configuration as a run shows it.

    Attributes:
        composed, resolved: with each secret masked.
        masked: the dotted keys of what was masked, sorted.
        known: the secrets, and other spellings of them, each with the key it stands under; the longest first.
    """

    composed: Mapping[str, Any]
    resolved: Mapping[str, Any]
    masked: tuple[str, ...] = ()
    known: Mapping[str, str] = field(default_factory=dict, repr=False)

    def hide(self, text: str) -> str:
        """Text without the secrets of the configuration, and without credentials in URLs and headers."""
        return mask_text(_without(text, self.known, re.escape))

    def is_in(self, data: bytes) -> bool:
        """Whether a file holds a secret of the configuration; a short one as a word."""
        there = [secret for secret in self.known if secret.encode() in data]
        return bool(there) and re.search("|".join(map(_as_word, there)).encode(), data) is not None

    def hide_in(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Facts as a run may hold them: masked as the configuration is, and without the secrets of that."""
        return {key: _masked(item, key, self.known, set(), is_secret=is_secret_key(key)) for key, item in facts.items()}


def shown(config: Config) -> Shown:
    """What may be seen of a configuration."""
    if _is_innocent(config.composed) and (config.composed is config.resolved or _is_innocent(config.resolved)):
        return Shown(config.composed, config.resolved)
    found = _found(config.resolved)
    is_plain = config.composed is config.resolved
    if not is_plain:
        found = {**_found(config.composed), **found}
    known = dict(sorted(found.items(), key=lambda item: -len(item[0])))  # one secret may hold another
    masked: set[str] = set()
    resolved = _masked(config.resolved, "", known, masked)
    composed = resolved if is_plain else _masked(config.composed, "", known, masked)
    if not masked:
        return Shown(config.composed, config.resolved)
    return Shown(composed, resolved, tuple(sorted(masked)), _spellings(known))


def _is_innocent(config: Mapping[str, Any]) -> bool:
    """Whether nothing in a configuration can be a secret: most hold none, and every run asks."""
    pending: list[Any] = [config]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if any(map(is_secret_key, item)):
                return False
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, str) and _SUSPECT.search(item):
            return False
    return True


def mask_command(command: Sequence[str], hide: Callable[[str], str] = mask_text) -> tuple[list[str], tuple[str, ...]]:
    """A command line without its secrets, and the names of the options that held them.

    ``--token X``, ``--token=X``, ``token=X`` and ``db={token: X}`` are known by the option's name. A number is taken
    for a secret unless the name speaks of a token: ``--max-token 100``.

    Args:
        command: its words.
        hide: what takes known secrets out of each; what it finds is told as ``command``.
    """
    found, options = _without_options(tuple(command))
    hidden = [hide(word) for word in found]
    is_more = any(before != after for before, after in zip(found, hidden, strict=True))
    return hidden, tuple(sorted({*options, "command"} if is_more else options))


@lru_cache(maxsize=64)
def _without_options(command: tuple[str, ...]) -> tuple[Sequence[str], frozenset[str]]:
    """A command line without the secrets that its options name, and those options; once for the runs of a process."""
    masked: set[str] = set()
    found: list[str] = []
    option = None
    for word in command:
        if option is not None and not word.startswith("-") and _is_secret(option, word):
            masked.add(option)
            found.append(f"<secret:{option}>")
        else:
            found.append(_mask_word(word, masked))
        flag = _OPTION.match(word)
        option = flag[2] if flag and flag[1].startswith("-") and is_secret_key(flag[2]) else None
    return found, frozenset(masked)


def _mask_word(word: str, masked: set[str]) -> str:
    assigned = _ASSIGNED.match(word)
    if assigned and is_secret_key(assigned[2]) and _is_secret(assigned[2], assigned[4]):
        masked.add(assigned[2])
        return f"{assigned[1]}{assigned[2]}{assigned[3]}<secret:{assigned[2]}>"
    value = assigned[4] if assigned else word
    if value.startswith(("{", "[")):
        return word[: -len(value)] + _MEMBER.sub(lambda found: _mask_member(found, masked), value)
    return word


def _mask_member(found: re.Match[str], masked: set[str]) -> str:
    key, value = found[3], found[4]
    if not is_secret_key(key) or not _is_secret(key, value):
        return found[0]
    masked.add(key)
    mark = value[0] if value[0] in "\"'" else ""
    return f"{found[1]}{mark}<secret:{key}>{mark}"


def _is_secret_for(name: str, value: str) -> bool:
    return is_secret_key(name) and _is_secret(name, value)


def _is_secret(name: str, word: str) -> bool:
    is_count = "token" in name.lower() and _NUMBER.match(word) is not None
    return not is_count and _is_value(word)


def _is_value(text: str) -> bool:
    """Whether text is something, and not what stands for a secret."""
    return bool(text) and not _REFERENCE.match(text) and not _MASK.fullmatch(text)


def masks(value: Any) -> set[str]:
    """The keys of all that is masked in a value: text, or lists and dicts of it."""
    if isinstance(value, str):
        return {found[8:-1] for found in _MASK.findall(value)}
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return {key for item in items for key in masks(item)}


def unmask(value: Any, secret: Callable[[str], str]) -> Any:
    """A copy of a value with each mask in its texts taken off; ``secret`` gives what was masked under a key."""
    if isinstance(value, str):
        return _MASK.sub(lambda found: secret(found[0][8:-1]), value)
    if isinstance(value, Mapping):
        return {key: unmask(item, secret) for key, item in value.items()}
    return [unmask(item, secret) for item in value] if isinstance(value, list | tuple) else value


def _found(config: Mapping[str, Any]) -> dict[str, str]:
    """The secrets of a configuration that are long enough to be looked for, each with its dotted key."""
    found = dict(_secrets(config, "", is_secret=False))
    for place, text in texts(config):
        for match in _USERINFO.finditer(text) if "://" in text else ():
            password = match[2].partition(":")[2]
            if password:
                found.setdefault(password, place)
    return {secret: key for secret, key in found.items() if len(secret) >= _SHORTEST}


def _secrets(value: Any, where: str, *, is_secret: bool) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _secrets(item, below(where, key), is_secret=is_secret or is_secret_key(key))
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(item, where, is_secret=is_secret)
    elif is_secret and isinstance(value, str) and _is_value(value):
        yield value, where


def _spellings(known: Mapping[str, str]) -> dict[str, str]:
    """Secrets also as tracebacks, JSON and URLs spell them, the longest first."""
    found = {}
    for secret, key in known.items():
        for spelt in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe="")):
            found[spelt] = key
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _masked(value: Any, where: str, known: Mapping[str, str], masked: set[str], *, is_secret: bool = False) -> Any:
    """A copy of a part of a configuration with each secret masked; ``masked`` gets the keys."""
    if isinstance(value, dict):
        return {
            key: _masked(item, below(where, key), known, masked, is_secret=is_secret or is_secret_key(key))
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_masked(item, where, known, masked, is_secret=is_secret) for item in value]
    if not isinstance(value, str) or not value:
        return value
    text = f"<secret:{where}>" if is_secret and _is_value(value) else mask_text(_without(value, known, _as_word), where)
    if text != value or _MASK.search(value):  # also what came masked, from a run's own configuration
        masked.add(where)
    return text


def _without(text: str, known: Mapping[str, str], spell: Callable[[str], str]) -> str:
    """Text with the mask of each known secret in its place."""
    if not known or not any(secret in text for secret in known):
        return text
    return re.sub("|".join(map(spell, known)), lambda found: f"<secret:{known[found[0]]}>", text)


def _as_word(secret: str) -> str:
    """The pattern of a secret in a configuration: a short one may be a part of a word there that says nothing."""
    return re.escape(secret) if len(secret) >= _LONG else rf"(?<!\w){re.escape(secret)}(?!\w)"
