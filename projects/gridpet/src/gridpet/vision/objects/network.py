"""Objects as a network finds them: a rough mask of the photo, in place of what the bare sheet does not explain.

The network is an ONNX file with one input, float32, shape (1, 3, height, width), BGR, 0 to 255, and one output of the
same height and width, the probability of an object. It is run by OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gridpet.vision.geometry.rectify import dense_map, sample_at
from gridpet.vision.light import Float32, Image8
from gridpet.vision.model import Declined, Geometry
from gridpet.vision.objects.backdrop import Backdrop
from gridpet.vision.objects.background import relight
from gridpet.vision.objects.candidates import Candidates, noise_codes
from gridpet.vision.objects.sheet import find_sheet, residual_codes, sheet_mask

_SURE = 0.5
_RIM_MM = 0.5  # the sheet's own edge, left out of the search
_LEAST_AREA_MM2 = 2.0
_BAND_CELLS = 1.5  # of the network's pixels: how far its outline may be off


@dataclass(frozen=True, slots=True)
class Network:
    """A network that was read.

    Attributes:
        net: OpenCV's. size_px: width and height of the frames that it takes.
    """

    net: cv2.dnn.Net
    size_px: tuple[int, int]

    def probability(self, image_bgr: Image8) -> Float32:
        """The probability of an object: float32, shape (height, width) of the network's frames.

        Raises:
            Declined: the network does not give one for such a frame.
        """
        frame = cv2.resize(image_bgr, self.size_px, interpolation=cv2.INTER_AREA)
        try:
            self.net.setInput(cv2.dnn.blobFromImage(frame))
            found = np.asarray(self.net.forward(), np.float32)
        except cv2.error as error:
            raise Declined("the network cannot look at the photo", details={"cause": str(error)}) from error
        if found.size != self.size_px[0] * self.size_px[1] or not np.isfinite(found).all():
            raise Declined(f"the network gives {found.shape} where one probability for each pixel is due")
        return found.reshape(self.size_px[1], self.size_px[0])


def read_network(place: Path, size_px: tuple[int, int]) -> Network:
    """The network of an ONNX file, for frames of a width and height.

    Raises:
        Declined: OpenCV cannot run it.
    """
    try:
        return Network(cv2.dnn.readNetFromONNX(str(place)), size_px)
    except cv2.error as error:
        raise Declined("the network cannot be run by OpenCV", details={"cause": str(error)}) from error


def network_candidates(network: Network, image_bgr: Image8, backdrop: Backdrop, geometry: Geometry) -> Candidates:
    """The regions of the sheet that a network takes for objects.

    Raises:
        Declined: the network gives nothing for this photo.
    """
    mm = backdrop.view.mm_per_px
    box = find_sheet(backdrop, residual_codes(backdrop.seen, backdrop.bare, 1))
    on_sheet = sheet_mask(backdrop, box, max(2, round(_RIM_MM / mm)))
    backdrop = relight(backdrop, on_sheet)
    noise = noise_codes(residual_codes(backdrop.seen, backdrop.bare, 1), backdrop, on_sheet)
    chance = network.probability(image_bgr)
    scale = np.array([image_bgr.shape[1], image_bgr.shape[0]]) / np.array(network.size_px)

    def to_frame(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        photo = backdrop.view.to_photo(geometry, xy)
        return np.asarray((photo + 0.5) / scale - 0.5)

    where = np.nan_to_num(dense_map(backdrop.view.size_px, to_frame), nan=-1e4, posinf=-1e4, neginf=-1e4)
    region = (sample_at(chance, where.astype(np.float32), cv2.BORDER_CONSTANT) > _SURE) & on_sheet
    count, labels, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    bodies = [index for index in range(1, count) if stats[index, cv2.CC_STAT_AREA] * mm * mm >= _LEAST_AREA_MM2]
    kept = np.zeros(count, np.int32)
    kept[bodies] = np.arange(1, len(bodies) + 1)
    return Candidates(
        labels=kept[labels],
        backdrop=backdrop,
        sheet=box,
        noise=noise,
        hides_print=(True,) * len(bodies),
        warnings=(),
        band_px=_BAND_CELLS * float(scale.max()),
    )
