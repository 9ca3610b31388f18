"""What everything else stands on: errors, identifiers, the clock, JSON, and YAML that others wrote.

Standard library only, but for the latter, which contracts and artifacts are read from alike (``yamltext``).
"""
