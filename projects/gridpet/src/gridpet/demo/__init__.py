"""Rendered photographs of flat objects on printed grids, with exact truth.

A scene is laid out from a seed (:mod:`scene`), seen through a camera with perspective and radial lens terms
(:mod:`camera`), printed and painted (:mod:`patterns`, :mod:`materials`, :mod:`shapes`), lit and exposed
(:mod:`light`), and put together by :func:`render`. The same seed and family give the same bytes on one machine.
"""

from gridpet.demo.render import Scene, encode_jpeg, render
from gridpet.demo.scene import FAMILIES

__all__ = ["FAMILIES", "Scene", "encode_jpeg", "render"]
