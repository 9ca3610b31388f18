"""Which pixels are objects and not printed sheet: ``segment.segment``."""
