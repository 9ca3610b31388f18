"""The network and how it learns. Everything here needs PyTorch, which whoever trains has installed."""
