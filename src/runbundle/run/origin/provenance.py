"""Where a run comes from: packages, machine, command. Read once a process: it does not change under a program."""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from runbundle.base.jsontext import plain_text


@cache
def _distributions() -> Mapping[str, list[str]]:
    from importlib.metadata import packages_distributions  # noqa: PLC0415 - 15 ms, and only writers need it

    return packages_distributions()


def package_versions() -> dict[str, str]:
    """Name to version of every installed distribution of which something is imported now."""
    return dict(_package_versions(len(sys.modules)))


@cache
def _package_versions(module_count: int) -> Mapping[str, str]:  # noqa: ARG001 - looked up again when more is imported
    imported = {name.partition(".")[0] for name in list(sys.modules)} - set(sys.stdlib_module_names)
    # an editable install names no modules: its distribution usually bears their name
    names = {dist for module in imported for dist in _distributions().get(module, (module,))}
    versions = ((name, _version(name)) for name in sorted(names))
    return {name: found for name, found in versions if found is not None}


@cache
def _version(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - only writers need it

    try:
        return version(distribution)
    except (PackageNotFoundError, ValueError):  # a script or a local module: it has no version
        return None


@cache
def installed_packages() -> Mapping[str, str]:
    """Name to version of every distribution that is installed, be it imported or not."""
    from importlib.metadata import distributions  # noqa: PLC0415 - only writers need it

    # of two of one name the first is imported
    found = [(dist.metadata["Name"], dist.version) for dist in distributions()]
    return {plain_text(name): plain_text(version) for name, version in reversed(found) if name and version}


def accelerator() -> dict[str, Any]:
    """``torch_version``, ``cuda_version`` and ``device_info``, if this process has loaded PyTorch; it is never loaded.

    The devices are those that the driver names: asking CUDA would start it, and a fork could not use it then.
    """
    torch = sys.modules.get("torch")
    version = getattr(torch, "__version__", None)
    if version is None:
        return {}
    cuda = getattr(getattr(torch, "version", None), "cuda", None)
    return {
        "torch_version": plain_text(version),
        "cuda_version": None if cuda is None else plain_text(cuda),
        "device_info": dict(_devices()),
    }


@cache
def _devices() -> Mapping[str, Any]:
    return {"cpu_count": os.cpu_count(), "gpus": _gpus(Path("/proc/driver/nvidia/gpus"))}


def _gpus(folder: Path) -> list[str]:
    """The models of NVIDIA's devices, as its driver on Linux lists them."""
    try:
        listed = [(place / "information").read_text(encoding="utf-8") for place in sorted(folder.iterdir())]
    except (OSError, UnicodeDecodeError):
        return []  # no such driver
    lines = (line.partition(":") for text in listed for line in text.splitlines())
    return [value.strip() for name, _, value in lines if name.strip() == "Model"]


@cache
def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux: a reader then cannot probe, and says `unknown`
        return None


def host() -> dict[str, Any]:
    """This machine, its boot, and this process."""
    return {"name": _host_name(), "boot_id": _boot_id(), "pid": os.getpid()}


@cache
def _host_name() -> str:
    return socket.gethostname()


def python() -> str:
    """The interpreter, as ``CPython 3.11.7``."""
    return f"{platform.python_implementation()} {platform.python_version()}"


@cache
def system() -> str:
    """The platform, as ``Linux-6.1-x86_64``."""
    return f"{platform.system()}-{platform.release()}-{platform.machine()}"


def command() -> list[str]:
    """The command line of this process; of a worker that ``multiprocessing`` started, that of its program."""
    words = list(getattr(sys, "orig_argv", sys.argv))
    if "--multiprocessing-fork" in words:  # it says nothing but which pipe to read; sys.argv is its program's
        words = [words[0], *sys.argv]
    return [plain_text(word) for word in words]
