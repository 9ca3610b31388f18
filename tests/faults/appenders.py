"""What processes do that are killed while they append to tables; in a module of its own, which they can import."""

import os
from multiprocessing.connection import Connection
from pathlib import Path

import polars as pl

import runbundle as rb
from faults.syscalls import Action, Syscalls, at, kill_after, kill_before, kill_half_way
from faults.workloads import TABLES

WAYS: dict[str, Action] = {way.__name__: way for way in (kill_before, kill_after, kill_half_way)}


def play(folder: Path, number: int, way: str, told: Connection) -> None:
    """In a process of its own: play until killed, and say when an act returned."""
    os.chdir(folder)
    scene = TABLES.scene(folder, tell=lambda: told.send_bytes(b"."))
    for name in ("fsync", "fdatasync"):
        setattr(os, name, _nothing)  # the power stays on
    with Syscalls(folder / "store", at(number, WAYS[way])):
        TABLES.play(scene)


def append_until_killed(place: Path, told: Connection) -> None:
    """Append to a table that is in no run, for as long as it goes; each append has a tag of its own."""
    table = rb.Table(place, rb.TableSpec("tick", bucket_size=10))
    for number in range(10**6):
        frame = pl.DataFrame({"tick": [number, number + 5, number + 15], "tag": [number] * 3})
        table.append(frame)
        told.send(number)


def _nothing(_: object) -> None:
    """In the place of a sync."""
