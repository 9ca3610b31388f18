"""What the content of each artifact must be; checked when it is written.

Every JSON document has the same envelope: which schema it follows, the stage, its status and reasons, the parameters
in force, and the SHA-256 of the photo. A stage that declined gives its reasons and may leave its results out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCHEMA_VERSION = 1

_NUMBER = {"type": "number"}
_OPTIONAL_NUMBER = {"type": ["number", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
_PAIR = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_MATRIX = {
    "type": "array",
    "minItems": 3,
    "maxItems": 3,
    "items": {"type": "array", "items": _NUMBER, "minItems": 3, "maxItems": 3},
}
_QUANTITY = {
    "type": "object",
    "required": ["value", "u"],
    "properties": {
        "value": _NUMBER,
        "u": {"type": "number", "minimum": 0},
        "expanded": {"type": "number", "minimum": 0},
    },
}
_STATUS = {"enum": ["pass", "warn", "fail"]}


def _document(name: str, results: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of one JSON artifact: the envelope, and unless it failed, all of ``results``."""
    return {
        "document": {
            "type": "object",
            "required": ["schema", "schema_version", "stage", "status", "reasons", "params", "input_sha256"],
            "properties": {
                "schema": {"const": f"gridpet/{name}"},
                "schema_version": {"const": SCHEMA_VERSION},
                "stage": {"type": "string"},
                "status": _STATUS,
                "reasons": {"type": "array", "items": {"type": "string"}},
                "params": {"type": "object"},
                "input_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                **results,
            },
            "if": {"properties": {"status": {"const": "fail"}}},
            "then": {"properties": {"reasons": {"minItems": 1}}},
            "else": {"required": list(results)},
        }
    }


INPUT_INFO = _document(
    "input_info",
    {
        "width_px": {"type": "integer", "minimum": 1},
        "height_px": {"type": "integer", "minimum": 1},
        "stored_width_px": {"type": "integer", "minimum": 1},
        "stored_height_px": {"type": "integer", "minimum": 1},
        "exif_orientation": {"type": "integer", "minimum": 1, "maximum": 8},
        "bit_depth": {"type": "integer", "minimum": 1},
        "color_mode": {"type": "string"},
        "icc": {},
        "file_bytes": _COUNT,
        "decoder": {"type": "string"},
    },
)

GRID_POINTS = _document(
    "grid_points",
    {
        "grid_kind": {"enum": ["square", "mm", "chessboard"]},
        "pitch_mm": {"type": "number", "exclusiveMinimum": 0},
        "pitch_source": {"enum": ["user", "detected"]},
        "n_points": _COUNT,
        "points": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["i", "j", "u_px", "v_px", "residual_px", "weight", "used"],
                "properties": {
                    "i": {"type": "integer"},
                    "j": {"type": "integer"},
                    "u_px": _NUMBER,
                    "v_px": _NUMBER,
                    "residual_px": _OPTIONAL_NUMBER,
                    "weight": _NUMBER,
                    "used": {"type": "boolean"},
                },
            },
        },
        "families": {"type": "array", "minItems": 2, "maxItems": 2},
        "lattice_checks": {"type": "object"},
    },
)

GEOMETRY = _document(
    "geometry",
    {
        "homography_px_to_mm": _MATRIX,
        "camera": {"type": "object", "required": ["K", "dist"]},
        "mm_per_px_center": {"type": "number", "exclusiveMinimum": 0},
        "mm_per_px_min": {"type": "number", "exclusiveMinimum": 0},
        "mm_per_px_max": {"type": "number", "exclusiveMinimum": 0},
        "tilt_deg": _OPTIONAL_NUMBER,
        "reproj_rms_px": {"type": "number", "minimum": 0},
        "reproj_p95_px": {"type": "number", "minimum": 0},
        "n_inliers": _COUNT,
        "coverage_frac": {"type": "number", "minimum": 0},
        "rectified_mm_per_px": {"type": "number", "exclusiveMinimum": 0},
        "covariance": {"type": "array"},
    },
)

CONTOURS = _document(
    "contours",
    {
        "contours": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "outline_px", "holes_px"],
                "properties": {"outline_px": {"type": "array", "items": _PAIR}, "holes_px": {"type": "array"}},
            },
        }
    },
)

LABELS = {"arrays": {"labels": {"dtype": "uint16", "shape": ["height", "width"]}}}

MEASUREMENT = _document(
    "measurement",
    {
        "count": _COUNT,
        "objects": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "area_mm2", "perimeter_mm", "length_mm", "width_mm", "centroid_px", "flags"],
                "properties": {
                    "area_mm2": _QUANTITY,
                    "perimeter_mm": _QUANTITY,
                    "length_mm": _QUANTITY,
                    "width_mm": _QUANTITY,
                    "centroid_px": _PAIR,
                    "centroid_mm": _PAIR,
                    "flags": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
        "total_area_mm2": {},
        "scale": {"type": "object", "required": ["mm_per_px_center", "u_rel"]},
        "assumptions": {"type": "object", "required": ["object_height_mm", "planar"]},
    },
)

TABLE = {
    "columns": {
        "id": {"nullable": False},
        "area_mm2": {"min": 0, "unit": "mm2"},
        "u_area_mm2": {"min": 0, "unit": "mm2"},
        "length_mm": {"min": 0, "unit": "mm"},
        "width_mm": {"min": 0, "unit": "mm"},
        "perimeter_mm": {"min": 0, "unit": "mm"},
    }
}

QC = {
    "document": {
        "type": "object",
        "required": ["schema", "schema_version", "stage", "status", "reasons", "params", "input_sha256", "checks"],
        "properties": {
            "schema": {"const": "gridpet/qc"},
            "schema_version": {"const": SCHEMA_VERSION},
            "status": _STATUS,
            "reasons": {"type": "array", "items": {"type": "string"}},
            "checks": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id", "value", "unit", "warn", "fail", "status", "message"],
                    "properties": {"id": {"type": "string"}, "status": _STATUS, "message": {"type": "string"}},
                },
            },
        },
    }
}
