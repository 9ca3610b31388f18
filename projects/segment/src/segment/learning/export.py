"""The network as ONNX, for programs without PyTorch."""

from __future__ import annotations

import io
import warnings

import torch

from segment.learning.net import Deployed, UNet

_OPSET = 17


def to_onnx(net: UNet, size_px: tuple[int, int]) -> bytes:
    """The ONNX file of a network for one frame: ``image`` float32, shape (1, 3, height, width), BGR, 0 to 255, to
    ``probability`` float32, shape (1, 1, height, width).
    """
    net.eval()
    width, height = size_px
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs two packages more
        torch.onnx.export(
            Deployed(net),
            (torch.zeros(1, 3, height, width),),
            out,
            input_names=["image"],
            output_names=["probability"],
            opset_version=_OPSET,
            dynamo=False,
        )
    return out.getvalue()
