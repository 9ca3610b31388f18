"""Reading YAML that others wrote, by ruamel.yaml, with what would make it take endless time or memory refused."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.scanner import Scanner, ScannerError

from runbundle.base.errors import DecodeError

_DEEPEST_FLOW = 100  # brackets in brackets; the scanner takes long over each token below many
_LONGEST_INTEGER = 4300  # digits, as Python turns into text
_SHOWN = 200


class _NoAliases(Composer):
    """Refuses ``*name``: nine aliases to nine aliases ... of a line each are more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.parser.check_event(AliasEvent):
            raise ComposerError(None, None, "it holds an alias", self.parser.peek_event().start_mark)
        return super().compose_node(parent, index)


class _NotDeep(Scanner):
    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:  # noqa: N803 - the base names it so
        if len(self.flow_context) >= _DEEPEST_FLOW:
            raise ScannerError(None, None, "it is nested too deeply", self.reader.get_mark())
        super().fetch_flow_collection_start(TokenClass, to_push)


def read_other(text: str) -> Any:
    """The JSON-like value of one YAML 1.2 document.

    Raises:
        DecodeError: it is none, or holds what JSON cannot hold.
    """
    reader = YAML(typ="safe", pure=True)
    reader.Composer, reader.Scanner = _NoAliases, _NotDeep
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of directives and of anchors given twice
            return _plain(reader.load(text))
    except DecodeError:
        raise
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError, AssertionError) as error:
        raise DecodeError(f"The YAML is not readable: {' '.join(str(error).split())[:_SHOWN]}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            shown = repr(list(value)[:5])[:_SHOWN]
            raise DecodeError(f"The YAML has keys that are not text: {shown}", hint="Quote them")
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not _is_json(value):
        raise DecodeError(
            f"The YAML holds {ascii(value)[:_SHOWN]}, which is no plain value", hint="Quote it to make it text"
        )
    return value


def _is_json(value: Any) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return value.bit_length() < _LONGEST_INTEGER * 3
    return value is None
