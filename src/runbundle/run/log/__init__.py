"""The log of a run: how its lines are spelt and read, what they say together, and the manifest that follows from it."""
