"""A run is made again from what it recorded, and the two are compared.

``preflight`` says beforehand whether that can be done, and if not, why; ``reproduce`` does it: the recorded code in a
temporary checkout, the environment of the recorded lock file, the recorded command with the recorded configuration and
inputs, into a store that does not stay. Nothing in the old run or its repository changes, however it ends.
"""
