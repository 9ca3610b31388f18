import numpy as np

from sample_frames import discs
from segment.engine.figures import overview


def test_right_is_green_missed_red_and_extra_blue() -> None:
    frames = discs(2)
    found = frames.masks.copy()
    found[0] = 0
    found[1] = 1
    sheet = overview(frames, found, columns=2)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (48 + 4, 2 * (64 + 4), 3)
    row, column = np.argwhere(frames.masks[0])[0]
    blue, green, red = (int(value) for value in sheet[2 * row, 2 * column])
    assert red > green > blue
    row, column = np.argwhere(frames.masks[1])[0]
    blue, green, red = (int(value) for value in sheet[2 * row, 2 * column + 68])
    assert green > max(red, blue)
    row, column = np.argwhere(frames.masks[1] == 0)[0]
    blue, _, red = (int(value) for value in sheet[2 * row, 2 * column + 68])
    assert blue > red
