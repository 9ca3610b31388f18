"""Hydra's configuration of the training; ``segment.settings`` says what each entry must be."""
