"""Running work under a contract: stages in a pipeline, many runs in a batch, a run made again."""
