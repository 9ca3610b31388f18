"""From a photo to a run: the catalog of artifacts, the stages, and the pipeline that joins them."""
