"""What is simulated outside of the agents: the network, tokens and their exchange."""
