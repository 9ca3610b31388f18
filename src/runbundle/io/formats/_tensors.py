"""Tensors of torch, which is used where it is there, and never imported for anything but them."""

from __future__ import annotations

import ctypes
import importlib
import sys
from types import ModuleType
from typing import Any

from runbundle.base.errors import InvalidValue, MissingExtra


def torch() -> ModuleType:
    """The library.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise MissingExtra(
            "torch is needed here and is not installed",
            hint="Install it as its own pages say for this machine: pip install torch",
        ) from error


def is_tensor(value: Any) -> bool:
    """Whether it is a plain tensor, or a parameter of a module; never imports torch: without it there are none."""
    library = sys.modules.get("torch")
    return library is not None and type(value) in (library.Tensor, library.nn.Parameter)


def copied_tensor(tensor: Any, spare: Any = None) -> Any:
    """A copy in memory of the CPU that shares nothing with the original, and remembers no gradients.

    It takes the place of ``spare`` where that is such a copy of the same dtype and shape.

    Raises:
        InvalidValue: it has no bytes (it is on the device ``meta``).
    """
    if tensor.is_meta:
        raise InvalidValue("A tensor on the device meta has no bytes", hint="Put the model on a real device first")
    found = tensor.detach()
    if not (is_tensor(spare) and _is_alike(spare, found)):
        spare = torch().empty_like(found, device="cpu") if found.layout is torch().strided else None
    if spare is None or found.is_quantized:
        return found.clone() if found.device.type == "cpu" else found.to("cpu")
    if _is_plain(spare) and _is_plain(found):
        # not by torch, which would wait until each of its threads has a processor
        ctypes.memmove(spare.data_ptr(), found.data_ptr(), found.numel() * found.element_size())
        return spare
    return spare.copy_(found)


def _is_alike(spare: Any, tensor: Any) -> bool:
    names = ("dtype", "shape", "layout", "is_quantized")
    strided = spare.device.type == "cpu" and spare.layout is torch().strided and not spare.is_quantized
    return strided and all(getattr(spare, name) == getattr(tensor, name) for name in names)


def _is_plain(tensor: Any) -> bool:
    """Whether the bytes of a tensor lie one behind the other, and are what it says."""
    return bool(tensor.device.type == "cpu" and tensor.is_contiguous() and not tensor.is_conj() and not tensor.is_neg())
