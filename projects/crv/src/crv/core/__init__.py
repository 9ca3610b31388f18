"""The vocabulary: identifiers, names of tables and what their rows are. Standard library only.

``ids`` names runs, ``grammar`` names tables and says what a description of one is, ``tables`` describes each,
``versioning`` says which version of these descriptions this is.
"""
