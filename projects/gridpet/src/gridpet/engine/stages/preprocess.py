"""The photo as it is: readable, upright, 8-bit colour."""

from __future__ import annotations

from gridpet.engine.artifacts import ArtifactId, StageName
from gridpet.engine.documents import decline, write_document
from gridpet.engine.results import Context, photo
from gridpet.vision.model import Declined
from gridpet.vision.quality.photo_info import read_photo_info

name = StageName.PREPROCESS


def run(context: Context) -> None:
    """Read header and pixels; a file that is no whole photo declines."""
    try:
        info = read_photo_info(context.run_io.read_input())
        photo(context)
    except Declined as declined:
        decline(context, ArtifactId.INPUT_INFO, "input_info", declined)
        return
    write_document(context, ArtifactId.INPUT_INFO, "input_info", info)
