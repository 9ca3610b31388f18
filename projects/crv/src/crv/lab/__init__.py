"""Questions asked of a simulation: surveys, policies, probes, audits."""
