"""The command line: ``crv simulate``, ``crv sweep``, ``crv report``."""
