"""A project whose runs are bundles of the lab."""

from __future__ import annotations

import runbundle as rb
from crv.core.grammar import TableName
from crv.core.tables import get_table
from crv.io.config import IoSettings
from crv.io.tables import column_rules, table_spec

_FOLDERS = {"world": "tables", **{subdir: f"artifacts/lab/{subdir}" for subdir in ("tidy", "audit")}}
LAYOUT = rb.Layout(
    name="lab", run_folder="runs/{run_id}", folders=_FOLDERS, extras_folder="artifacts", precreate=("artifacts",)
)


def bundles(settings: IoSettings) -> rb.Project:
    """A project with two tables of the grammar, two others, and the file ``tidy``, none of them required."""
    optional = rb.Required.OPTIONAL
    described = [get_table(name) for name in (TableName.IDENTITY_EDGES, TableName.EXCHANGE)]
    tables = [
        rb.ArtifactSpec(
            *(each.name, "world", each.name, ".parquet", "parquet", None, optional),
            schema={"columns": column_rules(each)},
            table=table_spec(settings, each),
        )
        for each in described
    ]
    tables += [
        rb.ArtifactSpec(
            "events", "world", "events", ".parquet", "parquet", None, optional, table=rb.TableSpec("tick", 50)
        ),
        rb.ArtifactSpec("notes", "world", "notes", ".parquet", "parquet", None, optional, table=rb.TableSpec()),
    ]
    tidy = rb.ArtifactSpec("tidy", "tidy", "tidy", ".parquet", "parquet", None, optional)
    contract = rb.Contract(name="bundle", version="1", layout=LAYOUT, allow_extras=True, artifacts=(*tables, tidy))
    return rb.Project("lab", store=settings.root_dir, contract=contract)
