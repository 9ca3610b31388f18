"""What a run must leave behind: pure definitions and checks. No file is touched here.

A ``Contract`` is the versioned catalog of a project: its ``Layout``, its ``ArtifactSpec`` and ``StageSpec``.
``declaration`` turns it into JSON and YAML and back; ``check`` holds records against it.
"""
