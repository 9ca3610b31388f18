"""What a run is started with: its configuration as composed and as resolved, without secrets, and its contract.

``config`` takes what a caller gives, ``secrets`` masks what must not be in a run, ``files`` writes and reads both.
"""
