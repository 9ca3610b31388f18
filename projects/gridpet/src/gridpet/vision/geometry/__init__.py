"""The map between photo and plane: ``fit.fit_geometry``, and the sheet seen from above."""
