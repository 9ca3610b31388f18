"""What it costs to resolve a model again: the first time it is hashed, after that only looked at.

uv run benchmarks/resolve_model.py [--mib 1024]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import runbundle as rb
from runbundle.contract.model import ModelSpec

CHUNK = 1 << 20


def seconds(reference: str, store: Path) -> float:
    """How long one resolving takes."""
    began = time.perf_counter()
    rb.models.resolve(reference, store=store)
    return time.perf_counter() - began


def main() -> None:
    """Make a model, let its times settle, and resolve it over and over."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mib", type=int, default=1024)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = f"{place}/cache"
        file, store = Path(place, "net.bin"), Path(place, "store")
        with file.open("wb") as stream:
            for _ in range(options.mib):
                stream.write(os.urandom(CHUNK))
        model = rb.models.add(file, ModelSpec("benchmark", "net"), source="random bytes", store=store)
        time.sleep(2.5)  # a file is remembered once it has not changed for two seconds
        first, *others = (seconds(model.reference, store) for _ in range(11))
        model.file.write_bytes(model.file.read_bytes())
        changed = seconds(model.reference, store)
    print(f"{options.mib} MiB: first {first:.3f} s, again {min(others):.4f} s, after a rewrite {changed:.3f} s")


if __name__ == "__main__":
    main()
