"""Other people's programs, recorded into runs: one module for each outside world (docs/integrations.md).

``hydra``, ``lightning`` and ``transformers`` each need the package they are named after, and are imported by whoever
uses it; ``ranks`` is for programs that a launcher starts several times over, and needs nothing.
"""
