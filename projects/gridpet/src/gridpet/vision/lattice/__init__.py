"""Which nodes of a printed lattice a photo shows: ``find.find_grid``."""
