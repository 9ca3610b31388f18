"""Areas, lengths and their uncertainty: ``measure.measure``."""
