"""Complete runs: the contract, one simulation, a sweep of them."""
