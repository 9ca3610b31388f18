"""Writing artifacts of a run."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import (
    AlreadyExistsError,
    ArtifactExists,
    ConflictError,
    ContractError,
    CorruptError,
    InvalidInputError,
    InvalidType,
    InvalidValue,
    StageError,
)
from runbundle.base.ids import fold, plain
from runbundle.contract.layout import INPUT_FOLDER, LOGS_FOLDER, check_folder
from runbundle.contract.record import ArtifactRecord, Pointer, label
from runbundle.contract.schema import check_facts
from runbundle.contract.spec import EXTRA_KIND, INPUT_KIND, ArtifactSpec, Required
from runbundle.io.atomic import Staged, Written
from runbundle.io.confine import check_relative, refuse_links
from runbundle.io.formats import Encoded, Format, format_for_extension, get_format
from runbundle.io.jsonbytes import reread
from runbundle.run.log.lines import is_log
from runbundle.run.members import membership, refuse_place, refuse_roster
from runbundle.run.session import Session

_LOOKED_INTO = (".pt", ".onnx")  # files of these are taken by their own formats, which know what must not be in them


def declared_spec(session: Session, wanted: str | ArtifactSpec) -> ArtifactSpec:
    """The spec that an id or a spec stands for in the run's own contract.

    Raises:
        ContractError: it is not declared there, or is declared otherwise.
    """
    if session.contract is None:
        if isinstance(wanted, ArtifactSpec):
            return wanted
        raise ContractError(
            f"The run has no contract that says what {str(wanted)!r} is",
            hint='Give an ArtifactSpec, or save("name.ext", value)',
            run=session.run_id,
        )
    artifact_id = wanted.artifact_id if isinstance(wanted, ArtifactSpec) else wanted
    spec = session.contract.spec(artifact_id)
    if isinstance(wanted, ArtifactSpec) and wanted != spec:
        raise ContractError(
            f"The spec of {spec.artifact_id} is not the one in the run's contract",
            hint="Take the spec from the contract that the run was started with",
        )
    return spec


def extra_spec(session: Session, name: str, value: Any) -> tuple[ArtifactSpec, str]:
    """The spec and the path of an artifact that no contract declares, from its file name.

    Bytes, and a file given by its path, are taken as they are under any extension but those of pickles.

    Raises:
        ContractError: the contract allows no extras, or the format has a folder of its own.
        UnsupportedFormat: no format has that extension.
    """
    check_relative(name, what="name")
    contract = session.contract
    if contract is not None and not contract.allow_extras:
        raise ContractError(
            f"The contract {contract.name} does not declare {name!r} and allows no extras",
            hint="Declare it as an ArtifactSpec, or set allow_extras",
            run=session.run_id,
        )
    stem, dot, last = name.rpartition("/")[2].rpartition(".")
    ext = f".{last.lower()}" if stem and dot else ""
    is_file = isinstance(value, bytes | bytearray | memoryview | os.PathLike) and ext not in _LOOKED_INTO
    fmt = get_format("file") if is_file and ext else format_for_extension(ext)
    if contract is not None and contract.formats is not None and fmt.name not in contract.formats:
        raise ContractError(
            f"The contract {contract.name} does not allow the format {fmt.name}",
            hint="Add it to the formats of the contract, or save it in another",
            run=session.run_id,
        )
    filename = f"{session.layout.extras_folder}/{name}"
    _check_folder(fmt, filename)
    return _extra_spec(ext, fmt.name), filename


def _check_folder(fmt: Format, filename: str) -> None:
    if fmt.folder and fmt.folder not in filename.split("/")[:-1]:
        raise ContractError(
            f"A file of the format {fmt.name} lies under {fmt.folder}/, and {filename} would not",
            hint=f'Give its spec the kind "{fmt.folder}", or save it as "{fmt.folder}/{filename.rpartition("/")[2]}"',
        )


@cache
def _extra_spec(ext: str, format_name: str) -> ArtifactSpec:
    # an extra is known by its name as given, so suffix and ext only have to be well formed
    return ArtifactSpec("extra", EXTRA_KIND, "extra", ext, format_name, None, Required.OPTIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a caller asks to be written; the arguments of ``RunIO.write``.

    ``by_library``: the library itself asks. ``is_encoded``: ``value`` is what the file is to hold, byte for byte.
    """

    value: Any
    variant: str | None = None
    meta: Mapping[str, Any] | None = None
    description: str | None = None
    replace: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    by_library: bool = False
    is_encoded: bool = False


def write_declared(session: Session, wanted: str | ArtifactSpec, offer: Offer) -> ArtifactRecord:
    """Write an artifact by its spec or id; see ``RunIO.write``."""
    with session.acting():
        return put_declared(session, wanted, offer)


def put_declared(session: Session, wanted: str | ArtifactSpec, offer: Offer) -> ArtifactRecord:
    """``write_declared``, by a thread for which the end of the run waits already."""
    with session.blamed():
        spec = declared_spec(session, wanted)
    with session.blamed(label(spec.artifact_id, offer.variant)):
        if spec.kind == INPUT_KIND:
            raise ContractError(f"{spec.artifact_id} is the input", hint="Inputs come in by ingest()")
        if spec.table is not None:
            raise ContractError(f"{spec.artifact_id} is a table", hint="Its rows come in by append()")
        refuse_roster(session, spec)
        check_stage(session, spec)
        return _write(session, spec, spec.artifact_id, _declared_path(session, spec, offer.variant), offer)


def write_extra(session: Session, name: str, offer: Offer) -> ArtifactRecord:
    """Write an artifact that no contract declares; see ``RunIO.save``."""
    if not isinstance(name, str):
        raise InvalidType(f"save() takes a name as text, not {type(name).__name__}", run=session.run_id)
    with session.acting():
        return put_extra(session, name, offer)


def put_extra(session: Session, name: str, offer: Offer) -> ArtifactRecord:
    """``write_extra``, by a thread for which the end of the run waits already."""
    name = plain(name)
    with session.blamed(name):
        spec, filename = extra_spec(session, name, offer.value)
        return _write(session, spec, name, filename, offer)


def write_own(session: Session, spec: ArtifactSpec, filename: str, offer: Offer) -> ArtifactRecord:
    """Write what the library itself makes of the records; it is of the spec's stage, whatever is open or has passed."""
    with session.blamed(spec.artifact_id):
        return _write(session, spec, spec.artifact_id, filename, dataclasses.replace(offer, by_library=True))


def write_at(session: Session, filename: str, data: bytes) -> ArtifactRecord:
    """Write bytes at a path of the run, new or in the place of what this writer wrote there.

    They are those of the declared artifact that has the path, else of one that no contract declares: any path that the
    library does not keep for itself will do.

    Raises:
        ContractError: the contract allows no extras, or the path is one of the library's.
    """
    filename = plain(filename)
    with session.acting(), session.blamed(filename):
        spec = _spec_at(session, filename)
        if spec is not None:
            check_stage(session, spec)
            artifact_id = spec.artifact_id
        else:
            check_relative(filename, what="name")
            folder, _, name = filename.rpartition("/")
            check_folder(folder or name)
            if fold(filename).split("/")[0] in (INPUT_FOLDER, LOGS_FOLDER) or is_log(fold(filename)):
                raise ContractError(f"{filename} lies where the library writes", hint="Give another folder")
            has_extension = "." in name[1:]
            spec, _ = extra_spec(session, name if has_extension else f"{name}.bin", data)
            artifact_id = filename.removeprefix(f"{session.layout.extras_folder}/")
        there = session.state.named_alike(filename)
        offer = Offer(value=data, replace=filename in there, is_encoded=True)
        return _write(session, spec, artifact_id, filename, offer)


def _spec_at(session: Session, filename: str) -> ArtifactSpec | None:
    """The spec of the declared artifact that has a path, without a variant."""
    for spec in session.contract.artifacts if session.contract else ():
        is_one = spec.kind != INPUT_KIND and spec.roster is None and spec.table is None
        if is_one and filename.endswith(spec.ext) and _declared_path(session, spec, None) == filename:
            refuse_roster(session, spec)
            return spec
    return None


def _declared_path(session: Session, spec: ArtifactSpec, variant: str | None) -> str:
    primary = session.state.primary_input
    stem = PurePosixPath(primary["filename"]).stem if primary else None
    if session.contract is not None:
        return session.contract.path_of(spec, variant=variant, input_stem=stem)
    name = session.layout.file_name_of(spec.suffix, spec.ext, variant=variant, input_stem=stem)
    return f"{session.layout.folder_of(spec.kind)}/{name}"


def check_stage(session: Session, spec: ArtifactSpec) -> None:
    """Whether an artifact may be written now.

    Raises:
        StageError: it belongs to a stage that has committed, or to another than the open one.
    """
    if session.contract is None or spec.stage is None:
        return
    if session.stage is not None and session.stage != spec.stage:
        raise StageError(
            f"{spec.artifact_id} belongs to the stage {spec.stage}, and the open stage is {session.stage}",
            hint="Write it in its own stage",
        )
    if session.stage is None and session.state.is_passed(spec.stage):
        raise StageError(
            f"{spec.artifact_id} belongs to the stage {spec.stage}, which has committed",
            hint="Write it before the stage ends",
        )


def _write(session: Session, spec: ArtifactSpec, artifact_id: str, filename: str, offer: Offer) -> ArtifactRecord:
    fmt = get_format(spec.format)
    if fmt.extensions and spec.ext not in fmt.extensions:
        raise ContractError(
            f"The format {fmt.name} has the extensions {fmt.extensions}, not {spec.ext}",
            hint="Give the spec one of them",
        )
    _check_folder(fmt, filename)
    encoded = _taken(fmt, offer.value) if offer.is_encoded else _encode(fmt, offer.value, offer.options)
    if spec.schema is not None:
        check_facts(spec.schema, encoded.facts(), what=artifact_id)
    meta, description = _told(spec, encoded, offer)
    roster = membership(session, spec, filename, offer.variant, meta)
    if not offer.by_library:
        refuse_place(session, filename)
    place, folder = f"{session.run_dir}/{filename}", filename.rpartition("/")[0]
    refuse_links(str(session.run_dir), folder, what="folder")
    with _Reserved(session, (artifact_id, offer.variant), filename, offer) as earlier:
        session.folder(folder)
        replaces = earlier.pointer if earlier else None
        session.remove_orphans()
        told = {
            "artifact_id": artifact_id,
            "variant": offer.variant,
            "stage": spec.stage or (None if offer.by_library else session.stage),
            "attempt": session.attempt,
            "kind": spec.kind,
            "format": fmt.name,
            "filename": filename,
            "content_type": fmt.content_type,
            "description": description,
            "meta": meta,
            **roster,
        }
        return _put_and_say(session, place, encoded, told, replaces)


def _put_and_say(
    session: Session, place: str, encoded: Encoded, told: Mapping[str, Any], replaces: Pointer | None
) -> ArtifactRecord:
    """Bring the bytes to their place and record them; a new file that cannot be recorded is taken away again."""
    lines: int | None = None
    written: Written | None = None
    try:
        written = _put(session, place, encoded, told, replaces)
        if replaces is None:
            session.remember(place, written.sha256)
        fields = {**told, "ts_utc": session.now(), "bytes": written.size, "sha256": written.sha256}
        with session.lock:  # nobody else says anything
            lines = session.log.seq
            return session.say_artifact(fields, replaces)
    except BaseException:
        if replaces is None and written is not None:
            session.undo(place, lines)
        raise


def _told(spec: ArtifactSpec, encoded: Encoded, offer: Offer) -> tuple[dict[str, Any], str]:
    """The meta and the description for the record."""
    if not isinstance(offer.meta, Mapping | None):
        raise InvalidType(f"meta is a mapping, not {type(offer.meta).__name__}")
    meta = {**encoded.meta, **(offer.meta or {})}
    description = spec.description if offer.description is None else offer.description
    if not isinstance(description, str):
        raise InvalidType(f"The description is text, not {type(description).__name__}")
    if meta:
        jsontext.refuse_non_json(meta, "meta")
        meta = reread(meta)  # what readers will see is what we go on with
    if description is not spec.description:
        jsontext.refuse_non_json(description, "the description")
    return meta, description


def _taken(fmt: Format, data: bytes) -> Encoded:
    """Bytes that are of a format already, as they are; read once, to know that they are."""
    if fmt.name == "file":
        return fmt.encode(data)
    try:
        value = fmt.decode(data, {})
    except CorruptError as error:
        raise InvalidValue(f"The bytes are not {fmt.name}: {error.what}", hint="Nothing was written") from error
    return dataclasses.replace(fmt.encode(value), write=lambda sink: sink.write(data))


def _encode(fmt: Format, value: Any, options: Mapping[str, Any]) -> Encoded:
    try:
        return fmt.encode(value, **options)
    except TypeError as error:
        if isinstance(error, InvalidInputError) or "unexpected keyword" not in str(error):
            raise
        raise InvalidInputError(
            f"The format {fmt.name} does not take the options {sorted(options)}",
            hint="Leave them out",
        ) from error


def _put(session: Session, place: str, encoded: Encoded, told: Mapping[str, Any], replaces: Pointer | None) -> Written:
    """Bring the bytes to their place: new by exclusive creation, or as an announced replacement."""
    filename = told["filename"]
    staged = Staged(place)
    try:
        with staged:
            encoded.write(staged)
            if replaces is not None:
                refuse_links(str(session.run_dir), filename, what="file")
                target = {name: told[name] for name in ("artifact_id", "variant", "filename")}
                return session.replace(staged, target, replaces, sync=encoded.is_durable)
            written = staged.seal(sync=encoded.is_durable or session.is_power)
            staged.create()
    except AlreadyExistsError as error:
        refuse_links(str(session.run_dir), filename, what="file")
        raise ArtifactExists(
            f"A file {filename} is there already",
            hint="It was kept. Another writer made it, or a crash left it: resume the run to set it aside",
            path=place,
        ) from error
    except BaseException:
        if staged.is_created:  # Ctrl-C came after that
            session.undo(place, None)
        raise
    return written


class _Reserved:
    """Hold a pair while it is written; gives the record that a replacement replaces.

    Raises:
        ArtifactExists: it was written before, or is being written by another thread; or another name differs
            from this one in case only.
        ContractError: it was written under another name. StageError: the stage that wrote it has committed.
    """

    __slots__ = ("_filename", "_held", "_key", "_offer", "_session")

    def __init__(self, session: Session, key: tuple[str, str | None], filename: str, offer: Offer) -> None:
        self._session, self._key, self._filename, self._offer = session, key, filename, offer
        self._held: set[tuple[str, str | None] | str] = {key, fold(filename)}

    def __enter__(self) -> ArtifactRecord | None:
        session, key, replace = self._session, self._key, self._offer.replace
        with session.lock:
            earlier = session.state.in_force.get(key)
            if earlier is not None and not replace:  # its stage may have been set aside since
                session.refresh()
                earlier = session.state.in_force.get(key)
            me, reserved = threading.get_ident(), session.reserved
            # a thread writes one at a time: what else it holds, an interrupt has left
            is_held = reserved and any(reserved.get(held, me) != me for held in self._held)
            if is_held or (earlier is not None and not replace):
                raise ArtifactExists(
                    f"{label(*key)} was written before, or is being written",
                    hint="It was kept. Give another variant, or replace=True",
                    path=session.run_dir / self._filename,
                )
            if earlier is None:
                _refuse_twin(session, self._filename)
            else:
                _check_replaceable(session, earlier, self._filename, by_library=self._offer.by_library)
            for held in self._held:
                reserved[held] = me
        return earlier

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._session.lock:
            for held in self._held:
                self._session.reserved.pop(held, None)


def _check_replaceable(session: Session, earlier: ArtifactRecord, filename: str, *, by_library: bool) -> None:
    if earlier.filename != filename:
        raise ContractError(
            f"{earlier.label} was written as {earlier.filename}, and would be replaced by {filename}",
            hint="A replacement has the name of what it replaces: give the same spec",
        )
    is_own = earlier.pointer.writer == session.writer
    if not is_own and not (session.is_creator and earlier.attempt < session.attempt):
        raise ConflictError(
            f"{earlier.label} was written by another process, and it alone may replace it",
            hint="Write it under another name",
        )
    if earlier.stage is not None and session.state.is_passed(earlier.stage) and not by_library:
        raise StageError(
            f"{earlier.label} was written by the stage {earlier.stage}, which has committed",
            hint="What committed stays: write it under another name",
        )


def _refuse_twin(session: Session, filename: str) -> None:
    for other in session.state.named_alike(filename):
        if other != filename:
            raise ArtifactExists(
                f"{filename} and {other} are one name on some disks", hint="Give names that differ in more than case"
            )
