"""Every test here has a current folder of its own."""

from sample_runs import own_folder

__all__ = ["own_folder"]
