"""Under which conditions two runs were made, and in what they differ: configuration, code, environment, inputs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError
from runbundle.io.confine import inside
from runbundle.run.run import Run
from runbundle.run.seal import read_checked
from runbundle.store.values import Verdict

ABSENT = object()
_FILE = re.compile(rb"^diff --git a/(.*) b/\1$", re.MULTILINE)
_FACTS = ("python", "platform", "torch_version", "cuda_version")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing in which two runs differ.

    Attributes:
        place: what it is: a dotted key, a file, a package, a metric.
        left, right: what each of the two has; ``ABSENT`` for nothing.
        verdict: ``differs``, or ``within tolerance``.
    """

    place: str
    left: Any
    right: Any
    verdict: Verdict = Verdict.DIFFERS

    def to_json(self) -> dict[str, Any]:
        """The change as a JSON object; what is absent is left out."""
        sides = {name: side for name, side in (("left", self.left), ("right", self.right)) if side is not ABSENT}
        return {"place": self.place, "verdict": self.verdict.value, **sides}

    def __str__(self) -> str:
        """One line for a person."""
        left, right = ("nothing" if side is ABSENT else side for side in (self.left, self.right))
        return f"{self.place}: {left}, then {right}"


def changes(left: Mapping[str, Any], right: Mapping[str, Any], where: str = "") -> Iterator[Change]:
    """What differs in two mappings, at the depth where they part."""
    for key in sorted(left.keys() | right.keys()):
        one, other = left.get(key, ABSENT), right.get(key, ABSENT)
        place = f"{where}.{key}" if where else key
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from changes(one, other, place)
        elif type(one) is not type(other) or one != other:
            yield Change(place, one, other)


def conditions(left: Run, right: Run) -> dict[str, tuple[Change, ...]]:
    """What differs of ``config``, ``code``, ``environment`` and ``inputs``; empty where nothing does.

    Raises:
        DigestMismatch, DecodeError: what a run keeps of its code or packages is damaged.
    """
    return {
        "config": tuple(changes(left.config, right.config)),
        "code": tuple(changes(_code(left), _code(right))),
        "environment": tuple(changes(_environment(left), _environment(right))),
        "inputs": tuple(changes(_inputs(left), _inputs(right))),
    }


def _code(run: Run) -> Mapping[str, str]:
    """The commit, each file that differed from it, and each submodule that did."""
    manifest = run.manifest
    kept = _kept(manifest)
    found = {"commit": str(manifest["git_hash"])}
    if kept.get("diff"):
        found |= _changed_files(kept_bytes(run, kept["diff"]))
    if kept.get("untracked"):
        listing = kept_json(run, kept["untracked"])
        found |= {str(item["path"]): f"a new file {str(item['sha256'])[:12]}" for item in listing.get("kept", [])}
    return found | {str(item["path"]): f"at {item['commit']}" for item in kept.get("submodules", [])}


def _kept(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """The ``provenance`` of a manifest; in a run of an earlier version a project's fact may have that name."""
    kept = manifest.get("provenance")
    return kept if isinstance(kept, Mapping) and isinstance(kept.get("packages"), Mapping) else {}


def _changed_files(diff: bytes) -> dict[str, str]:
    """Each file of a diff, with a digest of its part."""
    marks = list(_FILE.finditer(diff))
    ends = [mark.start() for mark in marks[1:]] + [len(diff)]
    return {
        mark[1].decode("utf-8", "backslashreplace"): "changed, "
        + hashlib.sha256(diff[mark.start() : end]).hexdigest()[:12]
        for mark, end in zip(marks, ends, strict=True)
    }


def kept_bytes(run: Run, told: Mapping[str, Any]) -> bytes:
    """A file that a run keeps in ``provenance/``, as its record tells of it.

    Raises:
        DigestMismatch: its bytes are others. InvalidName: its path leads out of the run.
    """
    place = inside(run.path, str(told["path"]), what="kept file")
    return read_checked(place, told["sha256"], name=str(told["path"]), run=run.run_id)


def kept_json(run: Run, told: Mapping[str, Any]) -> Mapping[str, Any]:
    """``kept_bytes`` of a JSON object.

    Raises:
        DecodeError: it is none.
    """
    found = jsontext.parse(kept_bytes(run, told), what=str(told["path"]))
    if not isinstance(found, dict):
        raise DecodeError(f"{told['path']} holds no object", run=run.run_id)
    return found


def _environment(run: Run) -> Mapping[str, Any]:
    facts = {name: run.manifest.get(name) for name in _FACTS}
    lock = run.manifest.get("lock_file")
    return {**facts, "lock_file": lock["sha256"] if isinstance(lock, Mapping) else None, "packages": packages(run)}


def packages(run: Run) -> Mapping[str, Any]:
    """Name to version of what was installed; of a run of an earlier version, of what was imported."""
    kept = _kept(run.manifest)
    return kept_json(run, kept["packages"]) if kept else dict(run.manifest["package_versions"])


def _inputs(run: Run) -> Mapping[str, str]:
    return {str(item["filename"]): f"sha256 {item['sha256']}" for item in run.manifest["inputs"]}
