"""A training from its configuration to its sealed run."""
