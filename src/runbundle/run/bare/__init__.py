"""Files and tables by their bare paths: in an open run they are recorded, in a sealed one refused, elsewhere plain."""
