"""Running work under a contract: stages in a pipeline, and many runs in a batch."""
