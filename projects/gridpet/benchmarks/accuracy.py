"""The accuracy table: what is aimed at, and what is reached on given photos and on photos rendered from fresh seeds.

uv run python projects/gridpet/benchmarks/accuracy.py --seeds 60 --seed-start 1000
"""

from __future__ import annotations

import argparse
import io
import json
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from chain import measure_array
from PIL import Image
from scoring import Score, failed, hint_of, score_file, score_image

from gridpet.demo import FAMILIES, render
from gridpet.vision.model import Declined
from gridpet.vision.quality.checks import Status
from gridpet.vision.quality.photo_info import read_photo_info

FRESH = tuple(family for family in FAMILIES if family not in {"plain", "tilt", "light"})
SHARED = Path("shared/data/grid")
Row = tuple[str, str, str, str]


def main() -> None:
    """Measure everything asked for and print the table, then the photos that went wrong."""
    options = _options()
    cv2.setNumThreads(1)
    scores: list[Score] = []
    for score in _all_scores(options):
        scores.append(score)
        if options.verbose:
            print(_line(score), flush=True)
    rows = [*_table(scores), *_broken_row()]
    if options.large:
        rows.append(_large_row(options.seed_start))
    rows.append(_repeat_row(options.seed_start))
    _print_table(rows)
    print(f"\n{len(scores)} photos. Not as aimed at:")
    for score in scores:
        if not _is_right(score):
            print("  " + _line(score))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=_find_data(), help="folder with truth.json and its photos")
    parser.add_argument("--no-data", action="store_true", help="measure rendered photos only")
    parser.add_argument("--seeds", type=int, default=0, help="number of photos to render and measure")
    parser.add_argument("--seed-start", type=int, default=1000, help="first seed")
    parser.add_argument("--families", default=",".join(FRESH), help="families to render, by turns")
    parser.add_argument("--large", action="store_true", help="time a 12 MP photo as well")
    parser.add_argument("--verbose", action="store_true", help="print every photo as it is done")
    return parser.parse_args()


def _find_data() -> Path | None:
    """The photos beside the checkout, if they are there."""
    for folder in Path(__file__).resolve().parents:
        if (folder / SHARED / "truth.json").is_file():
            return folder / SHARED
    return None


def _all_scores(options: argparse.Namespace) -> Iterator[Score]:
    if options.data is not None and not options.no_data:
        truths = json.loads((options.data / "truth.json").read_text())
        for group in ("synthetic", "composite", "real"):
            for truth in truths[group]:
                data = (options.data / truth["file"]).read_bytes()
                yield _guarded(truth, group, partial(score_file, data, truth, group))
    families = [name for name in options.families.split(",") if name]
    for index in range(options.seeds):
        scene = render(options.seed_start + index, family=families[index % len(families)])
        yield _guarded(scene.truth, "synthetic", partial(score_image, scene.image_bgr, scene.truth, "synthetic"))


def _guarded(truth: dict[str, Any], group: str, score: Callable[[], Score]) -> Score:
    """A crash is a result too: it is printed, and counted as a failure of its photo."""
    try:
        return score()
    except Exception as error:  # noqa: BLE001 - the table goes on, and the crash stands in it
        traceback.print_exc()
        return failed(truth, group, (f"crash: {type(error).__name__}: {error}",))


def _is_right(score: Score) -> bool:
    areas = all(abs(item.area) <= 5.0 for item in score.objects)
    if score.expect == "measure":
        return score.is_usable and areas
    if score.expect in {"zero", "count"}:
        return score.count == score.true_count
    if score.expect in {"flag", "warn_or_lens_model"}:
        return score.status is not Status.PASS or score.expect == "warn_or_lens_model"
    if score.expect == "flag_or_scale":
        off = score.scale_pct is not None and abs(score.scale_pct) > 2.0
        return score.status is not Status.PASS or not off
    if score.expect == "error":
        return score.status is Status.FAIL
    return score.status is not Status.FAIL


def _line(score: Score) -> str:
    areas = " ".join(f"{item.area:+.2f}" for item in score.objects[:4])
    scale = "-" if score.scale_pct is None else f"{score.scale_pct:+.3f} %"
    nodes = "-" if score.node_rms_px is None else f"{score.node_rms_px:.2f} px"
    return (
        f"{score.case} [{score.expect}] {score.status.value}: count {score.count}/{score.true_count}, "
        f"missed {score.missed}, extra {score.extra}, scale {scale}, nodes {nodes}, area % [{areas}], "
        f"{score.cpu_s:.1f} s; {' | '.join(score.reasons)[:240]}"
    )


def _table(scores: Sequence[Score]) -> list[Row]:
    synthetic = [s for s in scores if s.group == "synthetic" and s.expect == "measure"]
    composite = [s for s in scores if s.group == "composite"]
    solvable = [*synthetic, *composite]
    usable = [s for s in solvable if s.is_usable]
    real = [s for s in scores if s.expect == "grid_found"]
    impossible = [s for s in scores if s.expect == "flag"]
    not_passed = sum(s.status is not Status.PASS for s in impossible)
    hard_fail = sum(s.status is Status.FAIL for s in impossible)
    drawn = [item for s in synthetic if s.is_usable for item in s.objects]
    painted = [item for s in composite if s.is_usable for item in s.objects]
    both = [*drawn, *painted]
    sides = [value for item in both for value in (abs(item.length), abs(item.width))]
    counted = [s for s in scores if s.expect in {"measure", "count"} and s.true_count]
    large = [item.area for item in drawn if item.length_mm >= 30]
    off = [s for s in scores if s.expect != "time" and abs(s.scale_pct or 0.0) > 2.0]
    return [
        ("usable, synthetic", ">= 90 %", ">= 97 %", _share([s.is_usable for s in synthetic])),
        ("usable, composites", ">= 80 %", ">= 95 %", _share([s.is_usable for s in composite])),
        ("grid found, real photos", "-", "-", _share([s.status is not Status.FAIL for s in real])),
        ("scale error, median / p95", "0.05 / 0.3 %", "0.01 / 0.1 %", _spread([s.scale_pct for s in usable], "%")),
        ("scale off > 2 % and pass", "0", "0", str(sum(s.status is Status.PASS for s in off))),
        ("node RMS, median / p95", "0.25 / 0.8 px", "0.12 / 0.5 px", _spread([s.node_rms_px for s in usable], "px")),
        ("node RMS, real boards", "-", "-", _spread([s.node_rms_px for s in real], "px")),
        ("probe RMS, median / p95", "0.15 / 0.6 %", "0.05 / 0.2 %", _spread([s.probe_rms_pct for s in usable], "%")),
        ("area, synthetic", "1.0 / 4 %", "0.5 / 2 %", _spread([item.area for item in drawn], "%")),
        ("area, objects >= 30 mm, median", "0.8 %", "0.4 %", _spread(large, "%")),
        ("area, composites", "1.5 / 4 %", "0.6 / 2 %", _spread([item.area for item in painted], "%")),
        ("length and width", "0.8 / 3 %", "0.4 / 1.5 %", _spread(sides, "%")),
        ("perimeter", "2 / 6 %", "1 / 3 %", _spread([item.perimeter for item in both], "%")),
        ("count exact", ">= 85 %", ">= 95 %", _share([s.count == s.true_count for s in counted])),
        ("area truth within 2u", "88-100 %", "93-99 %", _share([item.inside for item in both])),
        ("area u, median / p95", "<= 2 %", "<= 1 %", _spread([item.u_area for item in both], "%")),
        ("impossible, not passed", "100 %", "100 %, fail", f"{not_passed}/{len(impossible)}, fail {hard_fail}"),
        ("silent gross errors", "<= 3 %", "0", _share([s.is_silently_wrong for s in solvable])),
        ("empty grid, count 0", "all", "all", _share([s.count == 0 for s in scores if s.expect == "zero"])),
        ("CPU at 3 MP, median / p95", "-", "-", _spread([s.cpu_s for s in scores if 2.5 < s.megapixels < 3.5], "s")),
    ]  # fmt: skip


def _share(hits: Sequence[bool]) -> str:
    return f"{100.0 * sum(hits) / len(hits):.1f} % ({sum(hits)}/{len(hits)})" if hits else "no photo"


def _spread(values: Sequence[float | None], unit: str) -> str:
    sizes = np.abs([value for value in values if value is not None])
    if not sizes.size:
        return "no photo"
    return f"{np.median(sizes):.3f} / {np.percentile(sizes, 95):.3f} {unit} (n {sizes.size})"


def _broken_row() -> list[Row]:
    """Files that must end in a clean refusal, and the time of the slowest."""
    plain = io.BytesIO()
    Image.effect_noise((400, 300), 60).convert("RGB").save(plain, "JPEG")
    tiny = io.BytesIO()
    Image.new("RGB", (1, 1)).save(tiny, "PNG")
    whole = plain.getvalue()
    at = whole.index(b"\xff\xc0") + 5
    absurd = whole[:at] + (65_500).to_bytes(2, "big") * 2 + whole[at + 4 :]
    clean, slowest = [], 0.0
    for data in (b"", b"not a photo at all", tiny.getvalue(), absurd, whole[: len(whole) // 2], whole[:30]):
        started = time.process_time()
        try:
            read_photo_info(data)
            clean.append(False)
        except Declined:
            clean.append(True)
        slowest = max(slowest, time.process_time() - started)
    return [("broken files refused", "all, < 2 s", "all, < 2 s", f"{_share(clean)}, {slowest:.2f} s")]


def _large_row(seed: int) -> Row:
    scene = render(seed, family="plain_square", size_px=(4032, 3024))
    score = score_image(scene.image_bgr, scene.truth, "synthetic")
    return ("CPU at 12 MP", "<= 4 s", "<= 1.5 s", f"{score.cpu_s:.1f} s ({score.status.value})")


def _repeat_row(seed: int) -> Row:
    """Whether the same photo gives the same numbers again, with one thread and with several."""
    scene = render(seed, family="multi", size_px=(1512, 1134))
    kind, pitch = hint_of(scene.truth)
    told = []
    for threads in (1, 1, 4):
        cv2.setNumThreads(threads)
        measured = measure_array(scene.image_bgr, kind, pitch).measurement
        told.append(json.dumps(None if measured is None else measured.to_json()))
    cv2.setNumThreads(1)
    return ("same numbers again, any threads", "yes", "yes", "yes" if len(set(told)) == 1 else "no")


def _print_table(rows: Sequence[Row]) -> None:
    head: Row = ("goal", "minimum", "excellent", "reached")
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(4)]
    for row in (head, tuple("-" * width for width in widths), *rows):
        print(" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
