"""What was measured on a photo, as text for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridpet.engine.measure_photo import PhotoResult

_COLUMNS = {"area": ("area_mm2", "mm²"), "length": ("length_mm", "mm"), "width": ("width_mm", "mm")}
_COVERAGE = 2  # k = 2: about 95 % of true values lie inside


def photo_table(result: PhotoResult, truth: Mapping[str, Any] | None = None) -> str:
    """The objects, each with its uncertainty, the verdict, and where the run lies."""
    lines = [f"{result.photo}"]
    if result.measurement is not None:
        lines += _objects(result.measurement, truth)
    lines.append(f"  quality: {result.qc['status']}")
    lines += [f"    - {reason}" for reason in result.qc["reasons"]]
    lines.append(f"  run:     {result.run_dir}")
    return "\n".join(lines)


def _objects(measurement: Mapping[str, Any], truth: Mapping[str, Any] | None) -> list[str]:
    objects = measurement["objects"]
    if not objects:
        return ["  no object on the grid"]
    true = _match(objects, truth) if truth else {}
    header = ["object", *(f"{name} ({unit})" for name, (_, unit) in _COLUMNS.items())]
    if truth:
        header += ["true area", "off by"]
    rows = [header]
    for item in objects:
        row = [str(item["id"]), *(quantity(item[field]) for field, _ in _COLUMNS.values())]
        if truth:
            row += _compare(item["area_mm2"]["value"], true.get(item["id"]))
        rows.append(row)
    note = f"± is the expanded uncertainty (k = {_COVERAGE}, about 95 %)"
    return [f"  {line}" for line in (*_aligned(rows), note)]


def quantity(measured: Mapping[str, float]) -> str:
    """A value and its expanded uncertainty, both to the uncertainty's second digit."""
    expanded = measured.get("expanded", _COVERAGE * measured["u"])
    digits = 1 - math.floor(math.log10(expanded)) if expanded > 0 else 3
    places = min(max(digits, 0), 4)
    return f"{measured['value']:.{places}f} ± {expanded:.{places}f}"


def _compare(area: float, true_area: float | None) -> list[str]:
    if true_area is None:
        return ["-", "-"]
    return [f"{true_area:.1f}", f"{100 * (area / true_area - 1):+.2f} %"]


def _match(objects: Sequence[Mapping[str, Any]], truth: Mapping[str, Any]) -> dict[int, float]:
    """The true area of each object: that of the nearest true object, if it is nearer than its own size."""
    found = {}
    for item in objects:
        distances = [(math.dist(item["centroid_px"], one["center_px"]), one) for one in truth["objects"]]
        distance, nearest = min(distances, key=lambda pair: pair[0])
        if distance * nearest["mm_per_px"] < nearest["length_mm"] / 2:
            found[item["id"]] = nearest["area_mm2"]
    return found


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
