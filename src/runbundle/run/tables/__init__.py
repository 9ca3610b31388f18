"""Tables of a run: rows appended as parts that the log records, merged before the seal, read as one lazy frame.

``members`` tells which records are the parts of which table, ``appending`` and ``compaction`` write, ``reading`` reads.
"""
