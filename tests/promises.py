"""The nine promises of what a write gives, and for each the lines that keep it: what stands there when one is taken out.

``surface/test_promises.py`` takes each line out of a copy of the library and shows that the named test then fails.
"""

from __future__ import annotations

from dataclasses import dataclass

PROMISES = {
    1: "All or nothing",
    2: "Acknowledged means kept",
    3: "Many writers",
    4: "Never silently overwritten",
    5: "A stage commits against its contract",
    6: "Safe formats",
    7: "Confined",
    8: "A failure is loud and harmless",
    9: "Finished means sealed",
}

IO, RUN, ORDER = "tests/unit/io", "tests/unit/run", "tests/faults/test_order_of_steps.py"


@dataclass(frozen=True, slots=True)
class Line:
    """A line that keeps a promise.

    Attributes:
        promise: the number of the promise.
        keeps: what the line does for it.
        path: the file, under src/runbundle.
        edits: the exact texts that are taken out, each with what stands there instead.
        tests: the ids of the tests that must fail then; the first failure ends the run.
    """

    promise: int
    keeps: str
    path: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """The id of its case."""
        return f"{self.promise} {self.keeps}"


def _line(promise: int, keeps: str, path: str, taken: str, test: str, instead: str = "pass") -> Line:
    return Line(promise, keeps, path, ((taken, instead),), (test,))


LINES = (
    # 1. All or nothing
    Line(
        1,
        "bytes go to a temporary file",
        "io/atomic.py",
        (
            ('self.temporary = f"{self.folder}/{next(_process.names)}"', "self.temporary = self.place"),
            ("os.link(self.temporary, self.place)", 'self.temporary = ""'),
        ),
        (f"{IO}/test_atomic_files.py::test_nothing_is_seen_under_the_name_before_it_is_whole",),
    ),
    _line(
        1,
        "bytes are hashed as they pass",
        "io/atomic.py",
        "            self._hash.update(view)\n",
        f"{IO}/test_atomic_files.py::test_a_file_holds_what_was_given_and_tells_its_digest",
        "            pass\n",
    ),
    Line(
        1,
        "the record comes after the name",
        "run/artifacts.py",
        (
            ("            staged.create()\n", '            os.link(staged.temporary, f"{place}.early")\n'),
            (
                "            return session.say_artifact(fields, replaces)\n",
                "            said = session.say_artifact(fields, replaces)\n"
                '            os.rename(f"{place}.early", place)\n'
                "            return said\n",
            ),
        ),
        (f"{ORDER}::test_a_write_that_a_kill_must_not_lose_is_written_named_recorded",),
    ),
    _line(
        1,
        "a new run is named when it is whole",
        "run/create.py",
        'folder = place.parent / f"{NEW_PREFIX}{uuid}"',
        f"{RUN}/test_project_start.py::test_a_run_is_visible_only_when_it_is_whole",
        "folder = place",
    ),
    # 2. Acknowledged means kept
    _line(
        2,
        "a record reaches the system before the call returns",
        "io/journal.py",
        "write_all(self.fd, memoryview(data)[written:])",
        f"{IO}/test_journal.py::test_what_was_appended_is_read_at_once",
        'held, self.held = getattr(self, "held", b""), data\n        write_all(self.fd, held)',
    ),
    _line(
        2,
        "a point reaches the system before the call returns",
        "io/points.py",
        "            written = os.write(self.fd, data)\n",
        f"{RUN}/test_run_metrics.py::test_a_live_reader_sees_points_as_they_come",
        '            held, self.held = getattr(self, "held", b""), data\n'
        "            os.write(self.fd, held)\n"
        "            written = len(data)\n",
    ),
    _line(
        2,
        "files are synced",
        "io/syncgroup.py",
        "_all(sync_file, files, failed_syncs)",
        f"{ORDER}::test_a_flush_syncs_files_and_names_before_the_log",
    ),
    _line(
        2,
        "folders are synced",
        "io/syncgroup.py",
        "_all(sync_folder, folders, failed_syncs)",
        f"{ORDER}::test_a_flush_syncs_files_and_names_before_the_log",
    ),
    _line(
        2,
        "what joiners wrote is synced",
        "io/syncgroup.py",
        "_all(sync_file, foreign, self._doubtful)",
        f"{RUN}/test_joining.py::test_a_commit_makes_safe_what_joiners_wrote_for_the_stage",
    ),
    _line(
        2,
        "points are synced",
        "run/session.py",
        "self.points.sync()",
        f"{ORDER}::test_a_flush_syncs_files_and_names_before_the_log",
    ),
    _line(
        2,
        "files are synced before a commit is said",
        "run/stages.py",
        "    session.sync_files()\n",
        f"{ORDER}::test_a_commit_is_said_when_what_it_covers_is_safe",
        "",
    ),
    _line(
        2,
        "the log is synced at a commit",
        "run/stages.py",
        "    session.log.sync()\n    session.has_flushed()\n",
        f"{ORDER}::test_a_commit_is_said_when_what_it_covers_is_safe",
        "    session.has_flushed()\n",
    ),
    _line(
        2,
        "the log is synced by flush",
        "run/session.py",
        "            self.log.sync()\n            self.has_flushed()\n",
        f"{ORDER}::test_a_flush_syncs_files_and_names_before_the_log",
        "            self.has_flushed()\n",
    ),
    _line(
        2,
        "the log is synced at the end",
        "run/finish.py",
        "    session.log.sync()\n",
        f"{ORDER}::test_the_seal_comes_last_when_all_else_is_safe",
        "",
    ),
    _line(
        2,
        "files are synced before the end is said",
        "run/finish.py",
        "    session.sync_files()\n    if session.attempt not in",
        f"{RUN}/test_run_durability.py::test_the_seal_comes_last_and_is_synced_with_its_name",
        "    if session.attempt not in",
    ),
    _line(
        2,
        "durability power makes each record safe",
        "run/session.py",
        "self.log.append(full, sync=self.is_power, is_checked=True)",
        f"{ORDER}::test_under_power_each_write_is_synced_step_by_step",
        "self.log.append(full, is_checked=True)",
    ),
    _line(
        2,
        "durability power makes each file safe before its name",
        "run/artifacts.py",
        "staged.seal(sync=session.is_power)",
        f"{ORDER}::test_under_power_each_write_is_synced_step_by_step",
        "staged.seal()",
    ),
    _line(
        2,
        "durability power makes each point safe",
        "io/points.py",
        "if sync or self.needs_care:",
        f"{ORDER}::test_under_power_a_point_is_synced_before_log_returns",
        "if self.needs_care:",
    ),
    # 3. Many writers
    _line(
        3,
        "a joiner has a log of its own",
        "run/join.py",
        "log = Journal.create(run_dir / log_name(writer))",
        f"{RUN}/test_joining.py::test_a_joiner_has_logs_of_its_own_and_readers_unite_them",
        "log = Journal(\n"
        "            run_dir / log_name(CREATOR),\n"
        "            os.open(run_dir / log_name(CREATOR), os.O_RDWR | os.O_APPEND),\n"
        "            followed.scans[CREATOR].seq and (0, \"0\" * 64, 0),\n"
        "            followed.scans[CREATOR].chain,\n"
        "        )",
    ),
    _line(
        3,
        "joiners do not wait for each other",
        "run/join.py",
        "run_lock(run_dir, fcntl.LOCK_SH, patience_s=0)",
        f"{RUN}/test_joining.py::test_joiners_do_not_wait_for_each_other",
        "run_lock(run_dir, fcntl.LOCK_EX, patience_s=0)",
    ),
    _line(
        3,
        "a forked child lets go of its parent's log",
        "io/journal.py",
        "        journal.forget()\n",
        f"{IO}/test_journal.py::test_a_forked_child_lets_go_and_cannot_append",
        "        pass\n",
    ),
    _line(
        3,
        "a torn last line is skipped",
        "io/journal.py",
        "                    self.torn_bytes = len(raw)\n                    return\n",
        f"{RUN}/test_joining.py::test_a_torn_line_is_read_once_it_is_whole",
        "                    self.torn_bytes = len(raw)\n",
    ),
    _line(
        3,
        "a torn last line of a dead writer is cut",
        "io/journal.py",
        "os.ftruncate(fd, scan.good_bytes)",
        f"{RUN}/test_joining.py::test_what_a_dead_joiner_left_of_a_line_is_cut_off",
    ),
    # 4. Never silently overwritten
    _line(
        4,
        "a new file is created exclusively",
        "io/atomic.py",
        "os.link(self.temporary, self.place)",
        f"{IO}/test_atomic_files.py::test_creating_never_replaces",
        "os.replace(self.temporary, self.place)",
    ),
    _line(
        4,
        "a pair is unique in a run",
        "run/artifacts.py",
        " or (earlier is not None and not replace)",
        f"{RUN}/test_artifact_writes.py::test_again_is_refused_and_the_first_is_kept",
        "",
    ),
    Line(
        4,
        "a replacement is announced before the rename",
        "run/session.py",
        (
            ("            announce(written)\n", "            staged.replace()\n            announce(written)\n"),
            (
                "        staged.replace()\n        if was_safe:\n",
                "        if announce is None:\n            staged.replace()\n        if was_safe:\n",
            ),
        ),
        (f"{ORDER}::test_what_was_flushed_is_replaced_as_under_power",),
    ),
    _line(
        4,
        "a replacement is announced",
        "run/session.py",
        "            announce(written)\n",
        f"{RUN}/test_artifact_writes.py::test_a_replacement_is_announced_and_points_to_what_it_replaces",
        "            pass\n",
    ),
    _line(
        4,
        "a new run covers no other",
        "run/create.py",
        "    if os.path.lexists(place):\n        return False\n",
        f"{RUN}/test_project_start.py::test_an_empty_folder_in_the_place_of_a_run_is_kept",
        "",
    ),
    # 5. A stage commits against its contract
    _line(
        5,
        "a commit is held to the contract",
        "run/stages.py",
        "missing = _missing(session, self.name, self.outcome)",
        f"{RUN}/test_run_stages.py::test_a_stage_without_what_it_owes_fails_and_names_it",
        "missing: list[str] = []",
    ),
    _line(
        5,
        "what a stage wrote is there at its commit",
        "run/stages.py",
        "whole = [record for record in records if _is_whole(session.run_dir / record.filename, sizes(record))]",
        f"{RUN}/test_run_stages.py::test_a_stage_whose_file_vanished_fails_and_names_it",
        "whole = [record for record in records if sizes(record)]",
    ),
    _line(
        5,
        "a value is held to its schema",
        "run/artifacts.py",
        "check_facts(spec.schema, encoded.facts(), what=artifact_id)",
        f"{RUN}/test_artifact_writes.py::test_a_schema_is_checked_at_the_write",
    ),
    _line(
        5,
        "a declined stage owes only what is always owed",
        "contract/check.py",
        "Outcome.DECLINED: (Required.ALWAYS,),",
        f"{RUN}/test_run_stages.py::test_a_stage_that_declines_owes_only_what_is_always_owed",
        "Outcome.DECLINED: (Required.ALWAYS, Required.IF_PASSED),",
    ),
    _line(
        5,
        "a new try sets aside what the last one left",
        "run/stages.py",
        "        set_aside(session, name)\n        number",
        f"{RUN}/test_resume_attempts.py::test_a_stage_tried_again_in_one_attempt_sets_its_files_aside",
        "        number",
    ),
    _line(
        5,
        "a new attempt sets aside what the last one left",
        "run/reopen.py",
        "            set_aside(session, stage)\n",
        f"{RUN}/test_resume_attempts.py::test_what_committed_stays_and_the_rest_is_set_aside",
        "            pass\n",
    ),
    _line(
        5,
        "a run completes only when its contract is met",
        "run/finish.py",
        "error = _fault(session)",
        f"{RUN}/test_run_finish.py::test_an_unmet_contract_is_an_error_and_a_sealed_failure",
        "error = None",
    ),
    # 6. Safe formats
    _line(
        6,
        "pickles are refused by their content",
        "io/formats/file.py",
        "    if holds_pickle(stream):\n",
        f"{IO}/test_format_file.py::test_pickles_are_refused",
        "    if False:\n",
    ),
    _line(
        6,
        "pickles are refused by their extension",
        "contract/spec.py",
        '_PICKLES = (".pkl", ".pickle", ".p", ".joblib", ".dill")',
        "tests/unit/contract/test_artifact_specs.py::test_extensions_of_pickles_are_refused",
        "_PICKLES = ()",
    ),
    Line(
        6,
        "arrays are read without pickle",
        "io/formats/_npz.py",
        (("    if dtype.hasobject:\n", "    if False:\n"), ("allow_pickle=False", "allow_pickle=True")),
        (f"{IO}/test_format_npz.py::test_other_bytes_are_a_decode_error_and_nothing_is_unpickled",),
    ),
    _line(
        6,
        "arrays of objects are not written",
        "io/formats/npz.py",
        "    if array.dtype.hasobject:\n",
        f"{IO}/test_format_npz.py::test_what_needs_pickle_or_leaves_is_refused",
        "    if False:\n",
    ),
    _line(
        6,
        "yaml is read safely",
        "base/yamltext.py",
        'YAML(typ="safe", pure=True)',
        f"{IO}/test_format_yaml_readers.py::test_what_would_explode_or_run_or_change_is_refused_at_once",
        'YAML(typ="unsafe", pure=True)',
    ),
    # 7. Confined
    _line(
        7,
        "links are refused",
        "io/confine.py",
        "        kind = _kind(place)\n",
        f"{IO}/test_confined_paths.py::test_links_are_never_followed",
        "        kind = 0\n",
    ),
    _line(
        7,
        "each component is checked",
        "io/confine.py",
        'check(part, what="the part")',
        f"{IO}/test_confined_paths.py::test_paths_that_might_leave_are_refused",
    ),
    _line(
        7,
        "an artifact is not written through a link",
        "run/artifacts.py",
        'refuse_links(str(session.run_dir), filename, what="file")',
        f"{RUN}/test_run_attacks.py::test_a_link_in_the_run_leads_nowhere",
        'f"{session.run_dir}/{filename}"',
    ),
    _line(
        7,
        "a recorded file is not read through a link",
        "run/artifacts.py",
        'inside(run_dir, record.filename, what="recorded file")',
        f"{RUN}/test_run_attacks.py::test_a_recorded_file_that_became_a_link_is_not_read",
        "run_dir / record.filename",
    ),
    _line(
        7,
        "a log names no file outside",
        "run/lines.py",
        "if not all(map(is_path, places)):",
        "tests/golden/test_library_agrees.py",
        "if False:",
    ),
    _line(
        7,
        "a seal names no file outside",
        "run/seal.py",
        " or not is_path(match[2])",
        "tests/golden/test_library_agrees.py",
        "",
    ),
    _line(
        7,
        "a member of an archive stays inside",
        "io/formats/_npz.py",
        'check_confined(name.removesuffix(".npy"), what="the array name")',
        f"{IO}/test_format_npz_hostile.py::test_what_lies_is_a_decode_error_and_takes_no_memory",
        'name.removesuffix(".npy")',
    ),
    _line(
        7,
        "a name for an array stays inside",
        "io/formats/npz.py",
        'check_confined(name, what="array name")',
        f"{IO}/test_format_npz.py::test_what_needs_pickle_or_leaves_is_refused",
        "name",
    ),
    _line(
        7,
        "a variant is a token",
        "contract/layout.py",
        "X",
        f"{RUN}/test_run_attacks.py::test_a_variant_is_a_plain_token",
    ),
    # 8. A failure is loud and harmless
    _line(
        8,
        "a failed append is taken back",
        "io/journal.py",
        "            self.take_back(error)\n",
        f"{IO}/test_journal.py::test_a_failed_append_takes_its_part_back",
        "            raise error\n",
    ),
    _line(
        8,
        "a failed point is taken back",
        "io/points.py",
        "            self.take_back(error)\n",
        f"{IO}/test_journal.py::test_a_point_that_was_stopped_is_taken_back",
        "            raise error\n",
    ),
    _line(
        8,
        "nothing is said before a torn line is cut",
        "io/journal.py",
        '            with os_errors("Cutting an unfinished line", self.path):\n                self._cut()\n',
        f"{IO}/test_journal.py::test_where_even_cutting_fails_nothing_is_said_before_it_is_cut",
        "            pass\n",
    ),
    _line(
        8,
        "a failed write frees its name",
        "run/artifacts.py",
        "session.undo(place, lines)",
        f"{RUN}/test_artifact_writes.py::test_a_log_that_refuses_frees_the_name_again",
    ),
    _line(
        8,
        "a failed write leaves no temporary file",
        "io/atomic.py",
        "os.unlink(self.temporary)",
        f"{IO}/test_atomic_files.py::test_what_was_never_named_is_gone",
    ),
    _line(
        8,
        "a refusal of the system is an error of ours",
        "io/journal.py",
        '            refused("Appending to the log", self.path, error)\n',
        f"{IO}/test_journal.py::test_a_failed_append_takes_its_part_back",
        "            pass\n",
    ),
    _line(
        8,
        "a failed sync of the log is remembered",
        "io/journal.py",
        "failed_syncs.add(str(self.path))",
        f"{IO}/test_journal.py",
    ),
    _line(
        8,
        "a failed sync of a file is remembered",
        "io/syncgroup.py",
        "failed.add(place)",
        f"{IO}/test_sync_groups.py",
    ),
    _line(
        8,
        "a failed sync is raised",
        "io/syncgroup.py",
        "    if errors:\n        raise errors[0]\n",
        f"{IO}/test_sync_groups.py",
        "",
    ),
    _line(
        8,
        "a log whose sync failed is written anew",
        "io/journal.py",
        "                self._write_anew()\n",
        f"{IO}/test_journal.py::test_after_a_failed_sync_the_log_goes_on_in_a_new_file_of_the_same_lines",
        "                pass\n",
    ),
    _line(
        8,
        "a file whose sync failed is written anew",
        "io/syncgroup.py",
        "_write_anew(place, files[place].sha256)",
        f"{IO}/test_sync_groups.py",
    ),
    _line(
        8,
        "a folder whose sync failed gets a new entry",
        "io/syncgroup.py",
        "stir_folder(folder)",
        f"{IO}/test_sync_groups.py",
    ),
    # 9. Finished means sealed
    _line(
        9,
        "threads that write while it ends are refused",
        "run/session.py",
        "self.is_closing = True",
        f"{RUN}/test_joining.py::test_what_another_thread_writes_while_the_run_is_sealed_is_refused",
        "self.is_closing = False",
    ),
    _line(
        9,
        "threads that are writing are waited for",
        "run/session.py",
        "            while self.acts:\n                time.sleep(_POLL_S)\n",
        f"{RUN}/test_joining.py",
        "",
    ),
    _line(
        9,
        "after the end every write is refused",
        "run/session.py",
        "if self.is_finished or self.is_closing:",
        f"{RUN}/test_run_finish.py::test_after_the_end_every_write_is_refused",
        "if self.is_closing:",
    ),
    _line(
        9,
        "an artifact asks whether the run is open",
        "run/session.py",
        "            self.require_open()\n            self.acts += 1\n",
        f"{RUN}/test_run_finish.py::test_after_the_end_every_write_is_refused",
        "            self.acts += 1\n",
    ),
    Line(
        9,
        "the seal comes last",
        "run/finish.py",
        (
            ("            _end(session,", "            root_digest = None if staying else seal(session)\n            _end(session,"),
            ("            root_digest = None if staying else seal(session)\n", ""),
        ),
        (f"{ORDER}::test_the_seal_comes_last_when_all_else_is_safe",),
    ),
    _line(
        9,
        "the other writers are waited for",
        "run/finish.py",
        "            time.sleep(_POLL_S)\n",
        f"{RUN}/test_joining.py",
        "            break\n",
    ),
    _line(
        9,
        "a run with a writer that stays is not sealed",
        "run/finish.py",
        "None if staying else seal(session)",
        f"{RUN}/test_joining.py::test_a_writer_that_stays_is_named_and_leaves_the_run_unsealed",
        "seal(session)",
    ),
    _line(
        9,
        "a finished run is closed to joiners",
        "run/join.py",
        "        if state.attempt in state.ends:\n",
        f"{RUN}/test_joining.py::test_a_writer_that_stays_is_named_and_leaves_the_run_unsealed",
        "        if False:\n",
    ),
    _line(
        9,
        "a run being finished is closed to joiners",
        "run/finish.py",
        ", run_lock(session.run_dir, fcntl.LOCK_EX, patience_s=_JOINING_S)",
        f"{RUN}/test_joining.py",
        "",
    ),
    _line(
        9,
        "the old seal is kept",
        "run/reopen.py",
        'session.move(SEAL, f"provenance/{SEAL}.{last}")',
        f"{RUN}/test_resume_attempts.py::test_the_old_seal_is_kept_and_the_run_is_sealed_again",
        "(session.run_dir / SEAL).unlink()",
    ),
    _line(
        9,
        "a completed run is never resumed",
        "run/reopen.py",
        "        _refuse_completed(session)\n",
        f"{RUN}/test_resume_attempts.py::test_a_completed_run_is_never_resumed",
        "",
    ),
    _line(
        9,
        "an artifact is checked when it is read",
        "run/artifacts.py",
        "check_digest(place, data, digests, run=run_dir.name, artifact=record.label)",
        f"{RUN}/test_artifact_writes.py::test_bytes_are_checked_against_the_log",
    ),
    _line(
        9,
        "an input is checked when it is read",
        "run/ingest.py",
        'check_digest(place, data, digests, run=session.run_id, artifact=known["artifact_id"] or place.name)',
        f"{RUN}/test_seed_behaviours.py",
    ),
    _line(
        9,
        "a changed byte is found by verify",
        "run/verify.py",
        "X",
        f"{RUN}/test_run_verify.py::test_tampering_with_a_sealed_run_is_named",
    ),
)
