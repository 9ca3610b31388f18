"""segment: a small network that finds objects on printed grids, trained into runs that can be trusted.

``frames`` are what is learnt from, ``learning`` is the network, ``engine`` trains it under the project's contract,
``cli`` is what people type.
"""

__version__ = "0.1.0"
