"""The vocabulary: identifiers, names of tables and what their rows are. Standard library only."""
