"""Tables as folders of Parquet parts: their rows checked, cut into buckets, written, read and summed up.

``rows`` holds frames against rules, ``parts`` turns them into files and tells what is in one, ``scan`` reads parts as
one lazy frame, ``content`` is the hash of what a table holds, ``folder`` is a table outside of any run and ``manifest``
what tells of its parts at once.
"""
