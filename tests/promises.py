"""The nine promises of a write, and the lines that keep them.

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


END_OF_A_RUN = "            status = _end(session, metrics, FAILED if fault else status, fault or error)\n"

LINES = (
    # 1. All or nothing
    Line(
        1,
        "bytes go to a temporary file",
        "io/atomic.py",
        (
            ('self.temporary = f"{self.folder}/{next(_process.names)}"', "self.temporary = self.place"),
            (
                "os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)\n        except",
                "os.O_RDWR | os.O_CREAT)\n        except",
            ),
            ("os.link(self.temporary, self.place)", 'self.temporary = ""'),
        ),
        (f"{IO}/test_atomic_files.py::test_nothing_is_seen_under_the_name_before_it_is_whole",),
    ),
    _line(
        1,
        "bytes are hashed as they pass",
        "io/atomic.py",
        "            self._hash.update(view)\n",
        f"{IO}/test_atomic_files.py::test_a_file_holds_what_was_given_and_tells_its_digest[x-create_file]",
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
                (
                    "            said = session.say_artifact(fields, replaces)\n"
                    '            os.rename(f"{place}.early", place)\n'
                    "            return said\n"
                ),
            ),
        ),
        (f"{ORDER}::test_a_write_that_a_kill_must_not_lose_is_written_named_recorded",),
    ),
    _line(
        1,
        "an append of several parts counts when all are there",
        "io/table/parts.py",
        "part.of == 1 or known.get(part.append, 0) >= part.of",
        f"{RUN}/test_tables.py::test_an_append_that_a_crash_cut_short_does_not_count_and_is_cleared_by_a_merge",
        "True",
    ),
    # 2. Acknowledged means kept
    _line(
        2,
        "merged rows are safe before they take the place of others",
        "run/tables/compaction.py",
        "        session.sync_files()  # what takes the place of rows that are safe is safe first\n",
        f"{ORDER}::test_merged_rows_are_safe_before_they_take_the_place_of_others",
        "",
    ),
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
        "the log is synced at a commit",
        "run/session.py",
        "        try:\n            self.log.sync()\n",
        f"{ORDER}::test_a_commit_is_said_when_what_it_covers_is_safe",
        "        try:\n            pass\n",
    ),
    Line(
        2,
        "the log is synced by flush",
        "run/session.py",
        (
            ("        try:\n            self.log.sync()\n", "        try:\n            pass\n"),
            ('            self.mark("flush")\n        self.log.sync()\n', '            self.mark("flush")\n'),
        ),
        (f"{ORDER}::test_a_flush_syncs_files_and_names_before_the_log",),
    ),
    _line(
        2,
        "durability power makes each record safe",
        "run/session.py",
        "self.log.append(full, sync=self.is_power, is_checked=True)",
        f"{ORDER}::test_under_power_each_write_is_synced_step_by_step",
        "self.log.append(full, is_checked=True)",
    ),
    # 3. Many writers
    _line(
        3,
        "a joiner has a log of its own",
        "run/join.py",
        "log = Journal.create(run_dir / log_name(writer))",
        f"{RUN}/test_joining.py::test_a_joiner_has_logs_of_its_own_and_readers_unite_them",
        "scan = followed.scans[CREATOR]\n"
        "        import os\n"
        "        fd = os.open(scan.path, os.O_RDWR | os.O_APPEND)\n"
        "        log = Journal(scan.path, fd, (scan.seq, scan.link, scan.good_bytes), scan.chain)",
    ),
    _line(
        3,
        "a torn last line is skipped",
        "io/scan.py",
        "                    self.torn_bytes = len(raw)\n                    return\n",
        f"{RUN}/test_run_verify.py::test_a_torn_tail_of_a_dead_writer_is_said_not_found",
        "                    self.torn_bytes = len(raw)\n",
    ),
    _line(
        3,
        "a torn last line of a dead writer is cut",
        "io/journal.py",
        "os.ftruncate(fd, scan.good_bytes)",
        f"{RUN}/test_joining.py::test_what_a_dead_joiner_left_of_a_line_is_cut_off[artifacts]",
    ),
    # 4. Never silently overwritten
    _line(
        4,
        "a new file is created exclusively",
        "io/atomic.py",
        "os.link(self.temporary, self.place)",
        f"{IO}/test_atomic_files.py::test_creating_never_replaces[file]",
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
            (
                (
                    "            announce(written)\n            self.log.sync()\n"
                    "        self.unsynced.remember_folder(staged.folder)  # also where what follows is interrupted\n"
                    "        staged.replace()\n"
                ),
                (
                    "            staged.replace()\n            announce(written)\n"
                    "        else:\n            staged.replace()\n"
                ),
            ),
        ),
        (f"{ORDER}::test_what_was_flushed_is_replaced_as_under_power",),
    ),
    # 5. A stage commits against its contract
    _line(
        5,
        "a commit is held to the contract",
        "run/stages.py",
        "missing = _missing(session, self.name, outcome)",
        f"{RUN}/test_run_stages.py::test_a_stage_without_what_it_owes_fails_and_names_it",
        "missing: list[str] = []",
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
        "a run completes only when its contract is met",
        "run/finish.py",
        "fault = _fault(session) if status == COMPLETED else None",
        f"{RUN}/test_run_finish.py::test_an_unmet_contract_is_an_error_and_a_sealed_failure",
        "fault = None",
    ),
    # 6. Safe formats
    _line(
        6,
        "pickles are refused by their content",
        "io/formats/file.py",
        "    if holds_pickle(stream):\n",
        f"{IO}/test_format_file.py::test_pickles_are_refused[2]",
        "    if False:\n",
    ),
    Line(
        6,
        "arrays are read without pickle",
        "io/formats/_npz.py",
        (("    if dtype.hasobject:\n", "    if False:\n"), ("allow_pickle=False", "allow_pickle=True")),
        (f"{IO}/test_format_npz_hostile.py::test_objects_that_fill_their_member_exactly_are_not_unpickled",),
    ),
    _line(
        6,
        "yaml is read safely",
        "base/yamltext.py",
        'reader = YAML(typ="safe", pure=True)\n',
        f"{IO}/test_format_yaml_readers.py::test_what_would_explode_or_run_or_change_is_refused_at_once[call]",
        "from ruamel.yaml.constructor import Constructor\n"
        '    reader = YAML(typ="safe", pure=True)\n'
        "    reader.Constructor = Constructor\n",
    ),
    # 7. Confined
    _line(
        7,
        "links are refused",
        "io/confine.py",
        "        kind = _kind(place)\n",
        f"{IO}/test_confined_paths.py::test_links_are_never_followed[out/new.txt]",
        "        kind = 0\n",
    ),
    _line(
        7,
        "each component is checked",
        "io/confine.py",
        'check(part, what="the part")',
        f"{IO}/test_confined_paths.py::test_paths_that_might_leave_are_refused[above]",
    ),
    _line(
        7,
        "a log names no file outside",
        "run/log/lines.py",
        "if not all(map(is_path, paths)):",
        f"{RUN}/test_run_attacks.py::test_a_log_that_moves_a_file_out_or_in_is_damaged[to]",
        "if False:",
    ),
    _line(
        7,
        "a member of an archive stays inside",
        "io/formats/_npz.py",
        'check_confined(name.removesuffix(".npy"), what="the array name")',
        f"{IO}/test_format_npz_hostile.py::test_what_lies_is_a_decode_error_and_takes_no_memory[name that leaves]",
        'name.removesuffix(".npy")',
    ),
    # 8. A failure is loud and harmless
    _line(
        8,
        "a failed append is taken back",
        "io/journal.py",
        "            self.take_back(error)\n",
        f"{IO}/test_journal.py::test_an_interrupt_during_an_append_leaves_a_journal_that_goes_on[SystemExit-a part]",
        "            raise error\n",
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
        "a failed sync of the log is remembered",
        "io/journal.py",
        "failed_syncs.add(str(self.path))",
        f"{IO}/test_journal.py::test_who_opens_a_log_whose_sync_failed_writes_it_anew",
    ),
    _line(
        8,
        "a failed sync of a file is remembered",
        "io/syncgroup.py",
        "failed.add(place)",
        f"{IO}/test_sync_groups.py::test_a_file_whose_sync_failed_is_never_synced_again_but_written_anew[1]",
    ),
    _line(
        8,
        "a log whose sync failed is written anew",
        "io/journal.py",
        "                self._write_anew()\n",
        f"{IO}/test_journal.py::test_after_a_failed_sync_the_log_goes_on_in_a_new_file_of_the_same_lines[sha256]",
        "                pass\n",
    ),
    # 9. Finished means sealed
    _line(
        9,
        "threads that write while it ends are refused",
        "run/session.py",
        "self.is_closing = True",
        f"{RUN}/test_joining.py::test_what_another_thread_writes_while_the_run_is_sealed_is_refused[an artifact]",
        "self.is_closing = False",
    ),
    _line(
        9,
        "threads that are writing are waited for",
        "run/session.py",
        "            while self.acts:\n                time.sleep(_POLL_S)\n",
        f"{RUN}/test_joining.py::test_what_a_thread_is_writing_when_the_run_ends_is_waited_for",
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
    Line(
        9,
        "the seal comes last",
        "run/finish.py",
        (
            (
                END_OF_A_RUN + "            root_digest = None if staying else seal(session, found)\n",
                "            root_digest = None if staying else seal(session, found)\n" + END_OF_A_RUN,
            ),
        ),
        (f"{ORDER}::test_the_seal_comes_last_when_all_else_is_safe",),
    ),
    _line(
        9,
        "the other writers are waited for",
        "run/finish.py",
        "            time.sleep(_POLL_S)\n",
        f"{RUN}/test_joining.py::test_a_writer_that_ends_while_it_is_waited_for_is_in_the_seal",
        "            break\n",
    ),
    _line(
        9,
        "a run being finished is closed to joiners",
        "run/finish.py",
        ", run_lock(session.run_dir, fcntl.LOCK_EX, patience_s=_JOINING_S)",
        f"{RUN}/test_joining.py::test_nobody_joins_once_it_is_looked_who_still_writes",
        "",
    ),
    _line(
        9,
        "a completed run is never resumed",
        "run/reopen.py",
        "                _refuse_completed(session)\n",
        f"{RUN}/test_resume_attempts.py::test_a_completed_run_is_never_resumed",
        "",
    ),
    _line(
        9,
        "an artifact is checked when it is read",
        "run/reading.py",
        "check_digest(place, data, digests, run=run_dir.name, artifact=record.label)",
        f"{RUN}/test_artifact_writes.py::test_bytes_of_a_run_without_a_seal_are_checked_as_well",
    ),
)
