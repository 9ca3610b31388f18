"""Frames: small pictures of objects on grids, each with its mask and the intrinsics of its camera.

``render`` makes them by GridPET's command, ``real`` takes photos with known outlines, ``dataset`` keeps them in a file.
"""
