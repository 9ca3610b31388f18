"""What lies where: from a seed and a family to a complete layout of sheet, objects, camera and light."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np

from gridpet.demo.camera import Camera, Pose, aim_camera
from gridpet.demo.light import CastShadow, Light, Optics
from gridpet.demo.materials import Item
from gridpet.demo.patterns import Rgb, Sheet
from gridpet.demo.placing import place_colonies, place_items
from gridpet.demo.textures import TABLES

GRIDS = ("square", "mm", "chessboard", "mat")
IMPOSSIBLE = ("nogrid", "stripes", "text", "noise", "hexagon", "blur")

FAMILIES = (
    "plain",
    *(f"plain_{grid}" for grid in GRIDS),
    "tilt",
    *(f"tilt_{grid}" for grid in GRIDS),
    "light",
    *(f"light_{grid}" for grid in GRIDS),
    "multi",
    "holes",
    "small",
    "soft",
    "motion",
    "dark",
    "wide",
    "dish",
    "empty",
    *(f"imp_{name}" for name in IMPOSSIBLE),
)

_PAPERS: tuple[Rgb, ...] = ((0.95, 0.95, 0.94), (0.93, 0.92, 0.87), (0.92, 0.94, 0.96), (0.95, 0.93, 0.91))
_INKS: tuple[Rgb, ...] = ((0.35, 0.35, 0.37), (0.36, 0.46, 0.66), (0.52, 0.58, 0.66), (0.40, 0.55, 0.45))
_MM_INKS: tuple[Rgb, ...] = ((0.86, 0.42, 0.38), (0.88, 0.52, 0.22), (0.33, 0.60, 0.42), (0.36, 0.52, 0.76))
_MATS: tuple[Rgb, ...] = ((0.10, 0.33, 0.25), (0.12, 0.24, 0.46), (0.15, 0.16, 0.17), (0.24, 0.36, 0.38))
_MAT_INK: Rgb = (0.83, 0.84, 0.70)
_ONE_ITEM_MM = (22.0, 62.0)  # longest side of a single object
_SMALL_ITEM_MM = (6.0, 13.0)


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything that a photo is rendered from.

    Attributes:
        seed, family: what it was made from; the family is a full one, such as ``plain_mm``.
        expect: measure, zero, count or flag: what a measuring program should do with it.
        sheet, table, items, camera, light, optics: the parts. corner_mm: rounding of the sheet's corners.
        sheet_tone: relative strength of the paper's or mat's own texture.
    """

    seed: int
    family: str
    expect: str
    sheet: Sheet
    table: str
    items: tuple[Item, ...]
    camera: Camera
    light: Light
    optics: Optics
    corner_mm: float
    sheet_tone: float


def lay_out(seed: int, family: str, size_px: tuple[int, int]) -> Layout:
    """The layout of a seed; ``plain``, ``tilt`` and ``light`` choose their grid by the seed.

    Raises:
        ValueError: the family is none of ``FAMILIES``, or the photo is narrower than 64 px.
    """
    if family not in FAMILIES:
        raise ValueError(f"no family {family!r}; choose one of {', '.join(FAMILIES)}")
    if min(size_px) < 64:
        raise ValueError(f"a photo of {size_px[0]} x {size_px[1]} px is too small; each side needs 64 px")
    if family in {"plain", "tilt", "light"}:
        family = f"{family}_{GRIDS[seed % len(GRIDS)]}"
    rng = np.random.default_rng([zlib.crc32(family.encode()), seed])
    name = family.split("_")[-1]
    choice = GRIDS[:2] if family == "dish" else GRIDS  # dishes stand on paper
    grid = name if name in GRIDS else choice[int(rng.integers(len(choice)))]
    sheet = _scaleless(choose_sheet(rng, grid), name) if family.startswith("imp_") else choose_sheet(rng, grid)
    camera = _choose_camera(rng, family, sheet, size_px)
    if family == "dish":
        items = place_colonies(rng, sheet)
    else:
        count, sizes = _count_items(rng, family)
        items = place_items(rng, sheet, camera, count, sizes, _hole_share(family))
    return Layout(
        seed=seed,
        family=family,
        expect=_expectation(family),
        sheet=sheet,
        table=TABLES[int(rng.integers(len(TABLES)))],
        items=items,
        camera=camera,
        light=_choose_light(rng, family),
        optics=_choose_optics(rng, family, size_px),
        corner_mm=4.0 if sheet.kind == "mat" else 0.0,
        sheet_tone=0.02 if sheet.kind == "mat" else 0.012,
    )


def choose_sheet(rng: np.random.Generator, grid: str) -> Sheet:
    """A sheet of one of the four grids, with pitch, colours, line width and border of a common print."""
    paper = _PAPERS[int(rng.integers(len(_PAPERS)))]
    ink = _INKS[int(rng.integers(len(_INKS)))]
    if grid == "mm":
        board = ((200.0, 150.0), (250.0, 190.0), (180.0, 250.0))[int(rng.integers(3))]
        margin = float(rng.choice([0.0, 0.0, 10.0]))
        colour = _MM_INKS[int(rng.integers(len(_MM_INKS)))]
        return Sheet("mm", 1.0, 10.0, board, margin, paper, colour, float(rng.uniform(0.11, 0.17)))
    if grid == "mat":
        board = ((220.0, 160.0), (300.0, 220.0))[int(rng.integers(2))]
        mat = _MATS[int(rng.integers(len(_MATS)))]
        return Sheet("mat", 10.0, 50.0, board, 0.0, mat, _MAT_INK, float(rng.uniform(0.35, 0.5)))
    if grid == "chessboard":
        pitch = float(rng.choice([8.0, 10.0, 12.0, 15.0, 20.0]))
        cells = (round(210.0 / pitch), round(155.0 / pitch))
        board = ((cells[0] + 2) * pitch, (cells[1] + 2) * pitch)
        return Sheet("chessboard", pitch, pitch, board, pitch, paper, (0.11, 0.11, 0.12), 0.0)
    pitch = float(rng.choice([4.0, 5.0, 5.0, 5.0, 7.0, 10.0]))
    cells = (round(205.0 / pitch), round(150.0 / pitch))
    margin = float(rng.choice([0.0, 0.0, 1.0])) * 2.0 * pitch
    board = (cells[0] * pitch + 2 * margin, cells[1] * pitch + 2 * margin)
    return Sheet("square", pitch, pitch, board, margin, paper, ink, float(rng.uniform(0.25, 0.45)))


def _scaleless(sheet: Sheet, name: str) -> Sheet:
    """The sheet with a pattern that gives no scale, if the family asks for one."""
    if name in {"stripes", "hexagon"}:
        pitch = 10.0 if name == "stripes" else 8.0
        ink = _INKS[1]
        return replace(sheet, kind=name, pitch_mm=pitch, major_mm=pitch, paper=_PAPERS[0], ink=ink, line_mm=0.35)
    if name in {"nogrid", "text", "noise"}:
        kind = "none" if name == "nogrid" else name
        ink = (0.72, 0.70, 0.66) if name == "noise" else (0.12, 0.12, 0.13)
        return replace(sheet, kind=kind, pitch_mm=10.0, major_mm=10.0, paper=_PAPERS[1], ink=ink)
    return sheet


def _expectation(family: str) -> str:
    if family.startswith("imp_"):
        return "flag"
    return {"empty": "zero", "dish": "count"}.get(family, "measure")


def _hole_share(family: str) -> float:
    if family == "holes":
        return 1.0
    return 0.08 if family.startswith("plain") else 0.0


def _count_items(rng: np.random.Generator, family: str) -> tuple[int, tuple[float, float]]:
    """How many objects, and the range of their longest side, mm."""
    if family == "empty":
        return 0, _ONE_ITEM_MM
    if family == "small":
        return int(rng.integers(1, 5)), _SMALL_ITEM_MM
    if family == "multi":
        count = int(rng.integers(1, 25))
        return count, (10.0, 36.0) if count <= 10 else (7.0, 22.0)
    return 1, _ONE_ITEM_MM


def _choose_camera(rng: np.random.Generator, family: str, sheet: Sheet, size_px: tuple[int, int]) -> Camera:
    """A hand-held phone over the sheet: the sheet fills most of the photo and may run out of it."""
    tilt = rng.uniform(30.0, 42.0) if family.startswith("tilt") else rng.uniform(2.0, 24.0)
    wide = family == "wide"
    focal = (rng.uniform(0.55, 0.65) if wide else rng.uniform(0.72, 0.95)) * max(size_px)
    k1 = rng.uniform(-0.24, -0.12) if wide else rng.uniform(-0.06, 0.06)
    seen_mm = min(sheet.board_mm[0] / max(size_px), sheet.board_mm[1] / min(size_px)) * rng.uniform(0.85, 1.15)
    seen_mm = min(seen_mm, 240.0 / max(size_px))  # nearer on large sheets, as a person would be
    aside = rng.uniform(-0.06, 0.06, 2)
    pose = Pose(
        target_mm=(
            float((0.5 + aside[0]) * sheet.board_mm[0]),
            float((0.5 + aside[1]) * sheet.board_mm[1]),
        ),
        distance_mm=float(seen_mm * focal),
        tilt_deg=float(tilt),
        azimuth_deg=float(rng.uniform(0.0, 360.0)),
        roll_deg=float(rng.uniform(-30.0, 30.0)),
    )
    return aim_camera(size_px, float(focal), (float(k1), float(-0.2 * k1)), pose)


def _choose_light(rng: np.random.Generator, family: str) -> Light:
    """Room light; in the light families a strong slope and a cast shadow."""
    uneven = family.startswith("light")
    slope = rng.uniform(-0.35, 0.35, 2) if uneven else rng.uniform(-0.12, 0.12, 2)
    warm = rng.uniform(-0.07, 0.07)
    cast = None
    if uneven:
        cast = CastShadow(
            angle_deg=float(rng.uniform(0.0, 360.0)),
            place=float(rng.uniform(-0.2, 0.45)),
            softness=float(rng.uniform(0.04, 0.30)),
            depth=float(rng.uniform(0.30, 0.55)),
        )
    towards = rng.uniform(0.0, 2.0 * np.pi)
    reach = rng.uniform(0.15, 0.6)
    return Light(
        exposure=float(rng.uniform(0.08, 0.14) if family == "dark" else rng.uniform(0.78, 0.94)),
        tint=(1.0 + float(warm), 1.0, 1.0 - float(warm)),
        slope=(float(slope[0]), float(slope[1])),
        vignette=float(rng.uniform(0.10, 0.30)),
        cast=cast,
        shadow_mm=(float(reach * np.cos(towards)), float(reach * np.sin(towards))),
        shadow_depth=float(rng.uniform(0.20, 0.45)),
        shadow_soft_mm=float(rng.uniform(0.3, 0.8)),
    )


def _choose_optics(rng: np.random.Generator, family: str, size_px: tuple[int, int]) -> Optics:
    """Blur is given in pixels of a 3 MP photo and grows with the photo; noise is that of a phone indoors."""
    scale = max(1.0, max(size_px) / 2016.0)
    blur = {"soft": rng.uniform(1.6, 2.4), "imp_blur": rng.uniform(11.0, 14.0)}
    base = rng.uniform(0.6, 0.95)
    return Optics(
        blur_px=float(blur.get(family, base) * scale),
        motion_px=float(rng.uniform(4.0, 8.0) * scale) if family == "motion" else 0.0,
        motion_deg=float(rng.uniform(0.0, 180.0)),
        read_noise=float(rng.uniform(0.001, 0.003)),
        shot_noise=float(rng.uniform(0.008, 0.022)),
    )
