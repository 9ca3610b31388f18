"""Bytes: confined paths, atomic and durable writes, hashed logs, and the formats of artifacts.

Nothing here knows what a run is. Each function either does what it says or raises one of the errors of
``runbundle.base.errors``; none leaves half a file behind under a final name.
"""
