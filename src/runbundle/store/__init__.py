"""Many runs: finding them in a store."""
