"""GridPET."""
