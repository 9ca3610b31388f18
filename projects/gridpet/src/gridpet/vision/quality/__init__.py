"""What a photo is, and whether a result can be trusted."""
