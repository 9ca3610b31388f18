"""The stages, one module each, with a ``name`` and a ``run``.

A stage calls the measurement core and writes by ``ArtifactId``: it knows no file name and no path. What it computes
it remembers for the stages after it; in a resumed run they compute it again, which gives the same.
"""
