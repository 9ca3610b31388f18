"""What everything else stands on: errors, identifiers, the clock, JSON. Standard library only."""
