"""Every run leaves a folder you can trust.

::

    import runbundle as rb

    with rb.start("mnist", config={"lr": 0.01}) as run:
        run.log({"loss": 0.5}, step=0)
        run.summary["accuracy"] = 0.97

    done = rb.open_run(run.path)
    assert not done.verify().findings

Names are loaded when they are first used, so that the import costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from runbundle._version import __version__

if TYPE_CHECKING:
    from runbundle.base import errors
    from runbundle.base.errors import RunbundleError
    from runbundle.base.findings import Finding, Report
    from runbundle.cli.exits import report_error, run_command
    from runbundle.contract.comparison import Comparison
    from runbundle.contract.contract import Contract
    from runbundle.contract.layout import Layout
    from runbundle.contract.predictions import predictions
    from runbundle.contract.record import ArtifactRecord
    from runbundle.contract.roster import RosterSpec
    from runbundle.contract.spec import ArtifactSpec, Outcome, Required, StageSpec
    from runbundle.contract.table import TableSpec
    from runbundle.engine.batch import BatchReport, Done, batch
    from runbundle.engine.pipeline import Pipeline, StageContext
    from runbundle.run.bare.files import write_file
    from runbundle.run.bare.table import Table
    from runbundle.run.ingest import CollisionPolicy
    from runbundle.run.project import Project, join, start
    from runbundle.run.run import Run, open_run
    from runbundle.run.runio import RunIO
    from runbundle.run.scope import ScopedRunIO
    from runbundle.store import models
    from runbundle.store.diff import diff
    from runbundle.store.tables import tables

__all__ = [
    "ArtifactRecord",
    "ArtifactSpec",
    "BatchReport",
    "CollisionPolicy",
    "Comparison",
    "Contract",
    "Done",
    "Finding",
    "Layout",
    "Outcome",
    "Pipeline",
    "Project",
    "Report",
    "Required",
    "RosterSpec",
    "Run",
    "RunIO",
    "RunbundleError",
    "ScopedRunIO",
    "StageContext",
    "StageSpec",
    "Table",
    "TableSpec",
    "__version__",
    "batch",
    "diff",
    "errors",
    "join",
    "models",
    "open_run",
    "predictions",
    "report_error",
    "run_command",
    "start",
    "tables",
    "write_file",
]

_HOMES = {
    "ArtifactRecord": "contract.record",
    "ArtifactSpec": "contract.spec",
    "BatchReport": "engine.batch",
    "CollisionPolicy": "run.ingest",
    "Comparison": "contract.comparison",
    "Contract": "contract.contract",
    "Done": "engine.batch",
    "Finding": "base.findings",
    "Layout": "contract.layout",
    "Outcome": "contract.spec",
    "Pipeline": "engine.pipeline",
    "Project": "run.project",
    "Report": "base.findings",
    "Required": "contract.spec",
    "RosterSpec": "contract.roster",
    "Run": "run.run",
    "RunIO": "run.runio",
    "RunbundleError": "base.errors",
    "ScopedRunIO": "run.scope",
    "StageContext": "engine.pipeline",
    "StageSpec": "contract.spec",
    "Table": "run.bare.table",
    "TableSpec": "contract.table",
    "batch": "engine.batch",
    "diff": "store.diff",
    "join": "run.project",
    "open_run": "run.run",
    "predictions": "contract.predictions",
    "report_error": "cli.exits",
    "run_command": "cli.exits",
    "start": "run.project",
    "tables": "store.tables",
    "write_file": "run.bare.files",
}
_MODULES = {"errors": "base.errors", "models": "store.models"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"runbundle.{_MODULES[name]}")
    if name not in _HOMES:
        raise AttributeError(f"module 'runbundle' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"runbundle.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
