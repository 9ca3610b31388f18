"""Absolute paths in a run's configuration and JSON artifacts: a warning, as elsewhere they lead to nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import RunbundleError
from runbundle.base.findings import Finding
from runbundle.contract.record import ArtifactRecord
from runbundle.io.confine import inside, read_regular
from runbundle.run.settings.files import CONFIG_RESOLVED

_ABSOLUTE = re.compile(r"/[^/\s][^\n]|[A-Za-z]:[\\/][^\n]|\\\\[^\\\s]+\\|~[\w.-]*/|file://")
_MOST_FILES, _LARGEST_BYTES = 10_000, 4 << 20  # of JSON that a check reads
_SHOWN, _SHOWN_CHARACTERS = 3, 80


def absolute_paths(
    run_dir: Path, config: Mapping[str, Any], records: Iterable[ArtifactRecord], notes: list[str]
) -> Iterator[Finding]:
    """A warning for each file that holds absolute paths; what was not looked at is told in ``notes``.

    Values that are such a path as a whole count, not texts that mention one. The log's own fields may hold them
    (docs/format.md, I1).
    """
    yield from _warning(CONFIG_RESOLVED, config)
    documents = [record for record in records if record.format == "json"]
    looked_at = [record for record in documents if record.bytes <= _LARGEST_BYTES][:_MOST_FILES]
    if len(looked_at) < len(documents):
        notes.append(f"{len(documents) - len(looked_at)} JSON artifacts were not looked into for absolute paths")
    for record in looked_at:
        try:
            document = jsontext.parse(read_regular(inside(run_dir, record.filename)), what=record.filename)
        except (RunbundleError, FileNotFoundError, NotADirectoryError) as error:
            notes.append(f"{record.filename} was not looked into for absolute paths: {error}")
            continue
        yield from _warning(record.filename, document)


def _warning(subject: str, document: Any) -> Iterator[Finding]:
    found = [f"{place} is {text[:_SHOWN_CHARACTERS]!r}" for place, text in _texts(document) if _ABSOLUTE.match(text)]
    if found:
        more = f" (and {len(found) - _SHOWN} more)" if len(found) > _SHOWN else ""
        yield Finding(
            "absolute_path", subject, f"{', '.join(found[:_SHOWN])}{more}: it leads nowhere on another machine"
        )


def _texts(document: Any) -> Iterator[tuple[str, str]]:
    """All texts of a document with their places."""
    pending: list[tuple[str, Any]] = [("", document)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, str):
            yield place or "the document", value
        elif isinstance(value, Mapping | list):
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            pending.extend((f"{place}.{key}" if place else str(key), item) for key, item in reversed(list(items)))
