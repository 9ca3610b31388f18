"""crv: a simulation lab of agents that exchange and value tokens; what it leaves are run bundles that can be trusted.

``core`` is the vocabulary, ``io`` writes the bundle of lab, world and mind, ``world`` and ``mind`` are what is
simulated, ``lab`` asks and audits, ``engine`` makes complete runs of all that, ``cli`` is what people type.
"""

__version__ = "0.1.0"
