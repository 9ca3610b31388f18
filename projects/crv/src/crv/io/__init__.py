"""The run bundle on disk: paths, atomic artifacts, tables that grow."""
