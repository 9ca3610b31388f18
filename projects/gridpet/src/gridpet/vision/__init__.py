"""The measurement core: pictures and numbers in, numbers and pictures out; no file is touched.

``lattice`` finds the printed grid, ``geometry`` fits the map to millimetres, ``objects`` finds what lies on the sheet,
``sizes`` measures it, ``quality`` says whether to trust it, ``drawing`` shows it. ``model`` is what they pass on.
"""
