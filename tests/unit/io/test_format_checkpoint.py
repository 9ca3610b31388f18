"""Seed 002, sections 5 and 6: checkpoints are state dicts; a pickled object in one is refused at both ends."""

import io
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runbundle.base.errors import DecodeError, InvalidType, InvalidValue, MissingExtra
from runbundle.io.formats import get_format
from stand_ins import round_trip, written


class Attack:
    """Runs a command when its pickle is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return subprocess.call, (["touch", "it-ran"],)


def the_torch() -> Any:
    return pytest.importorskip("torch", reason="torch is not installed")


def saved(value: Any) -> bytes:
    stream = io.BytesIO()
    the_torch().save(value, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1], "a dict of states, not list"),
        ({"a": Attack()}, r"the state\['a'\] is of the type .*Attack, which only pickle could hold"),
        ({"a": [{"b": np.float64(1)}]}, r"the state\['a'\]\[0\]\['b'\] is of the type numpy.float64"),
        ({"a": np.zeros(3)}, r"numpy.ndarray.*torch.from_numpy"),
        ({"a": {1, 2}}, "builtins.set"),
        ({(1, 2): 1}, r"has the key '\(1, 2\)'"),
        ({True: 1}, "has the key 'True'"),
        ({"a": b"x"}, "builtins.bytes"),
    ],
    ids=["list", "object", "numpy scalar", "array", "set", "tuple key", "bool key", "bytes"],
)
def test_what_only_pickle_could_hold_is_refused_with_advice_by_its_place(value: Any, said: str) -> None:
    with pytest.raises(InvalidType, match=f"{said}"):
        written("checkpoint", value)
    with pytest.raises(InvalidType, match=r"Give state dicts: model.state_dict\(\)|Keys are"):
        get_format("checkpoint").snapshot(value)


def test_a_state_that_holds_itself_is_refused() -> None:
    state: dict[str, Any] = {}
    state["me"] = state
    with pytest.raises(InvalidValue, match="holds itself"):
        written("checkpoint", state)


def test_without_torch_a_checkpoint_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    fmt = get_format("checkpoint")
    for act in (lambda: fmt.encode({"a": 1}), lambda: fmt.encode(b"x"), lambda: fmt.decode(b"", {})):
        with pytest.raises(MissingExtra, match=r"torch is needed here and is not installed.*pip install torch"):
            act()


def test_plain_values_tensors_and_the_versions_of_modules_come_back() -> None:
    torch = the_torch()
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    state: dict[str, Any] = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "best": (0.5, None, True, "é", [1, 2.5]),
        "parameter": next(model.parameters()),
    }
    found = round_trip("checkpoint", state)
    assert (found["epoch"], found["best"]) == (3, state["best"])
    assert type(found["model"]) is OrderedDict
    assert vars(found["model"]) == vars(state["model"])
    model.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    assert torch.equal(found["parameter"], state["parameter"])


def test_the_same_state_gives_the_same_bytes() -> None:
    state = {"a": the_torch().arange(9), "b": {"c": 1}}
    assert written("checkpoint", state) == written("checkpoint", state) == saved(state)


def test_a_part_of_a_large_tensor_costs_its_own_bytes_and_tied_tensors_stay_one() -> None:
    torch = the_torch()
    large = torch.zeros(1_000_000)
    assert len(written("checkpoint", {"a": large[:10]})) < 10_000
    weight = torch.ones(1000)
    for state in ({"a": weight, "b": weight}, get_format("checkpoint").snapshot({"a": weight, "b": weight})):
        found = round_trip("checkpoint", state)
        assert found["a"].data_ptr() == found["b"].data_ptr()


def test_a_snapshot_is_not_reached_by_later_changes() -> None:
    torch = the_torch()
    layer = torch.nn.Linear(2, 2)
    state = {"model": layer.state_dict(), "steps": [1]}
    copied = get_format("checkpoint").snapshot(state)
    before = copied["model"]["weight"].tolist()
    with torch.no_grad():
        layer.weight.add_(1)
    state["steps"].append(2)
    assert (copied["model"]["weight"].tolist(), copied["steps"]) == (before, [1])


def test_a_copy_is_right_for_every_kind_of_tensor_with_and_without_memory_to_use_again() -> None:
    torch = the_torch()
    grid = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    wave = torch.complex(grid, grid + 1)
    kinds = [
        grid,
        grid.T,
        grid[::2, 1::2],
        grid[0, 0],
        grid[:0],
        torch.tensor(3),
        grid.to(torch.bfloat16),
        wave.conj(),
        wave.conj().imag,
        torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.tensor([True, False]),
    ]
    copier, spare = get_format("checkpoint"), None
    for number in range(3):
        state = {"tensors": kinds, "number": number}
        spare = copier.snapshot(state, spare)
        for one, other in zip(spare["tensors"], kinds, strict=True):
            assert (one.dtype, one.shape, torch.equal(one, other)) == (other.dtype, other.shape, True)
            assert not one.numel() or one.data_ptr() != other.data_ptr()
        kinds = [kind.clone() for kind in kinds]


def test_sparse_tensors_come_back_and_tensors_without_bytes_are_refused() -> None:
    torch = the_torch()
    sparse = torch.eye(3).to_sparse()
    assert torch.equal(round_trip("checkpoint", {"a": sparse})["a"].to_dense(), torch.eye(3))
    with pytest.raises(InvalidValue, match="meta"):
        written("checkpoint", {"a": torch.zeros(2, device="meta")})


def test_a_file_that_torch_wrote_of_a_state_is_taken_and_one_of_an_object_is_not(tmp_path: Path) -> None:
    torch = the_torch()
    good, bad = saved({"a": torch.ones(2)}), saved(torch.nn.Linear(1, 1))
    for number, (data, is_good) in enumerate([(good, True), (bad, False), (saved({"x": Attack()}), False)]):
        place = tmp_path / f"{number}.pt"
        place.write_bytes(data)
        for given in (place, data):
            if is_good:
                assert written("checkpoint", given) == data
                continue
            with pytest.raises(InvalidValue, match=r"pickled object.*Give state dicts"):
                written("checkpoint", given)


HOSTILE = {
    "object": lambda: saved({"x": Attack()}),
    "module": lambda: saved(the_torch().nn.Linear(1, 1)),
    "plain pickle": lambda: pickle.dumps({"a": 1}),
    "plain attack": lambda: pickle.dumps(Attack()),
    "old torch": lambda: old_torch({"a": 1}),
    "empty": lambda: b"",
    "text": lambda: b"hello",
    "a list": lambda: saved([1, 2]),
    "another zip": lambda: packed(("a.txt", b"x"), method=zipfile.ZIP_STORED),
    "packed": lambda: packed(("archive/data.pkl", bytes(100_000)), method=zipfile.ZIP_DEFLATED),
}


def old_torch(value: Any) -> bytes:
    stream = io.BytesIO()
    the_torch().save(value, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def packed(*members: tuple[str, bytes], method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_state_is_not_read_and_nothing_runs(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_torch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DecodeError):
        get_format("checkpoint").decode(make(), {})
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_was_cut_anywhere_is_an_error_of_ours() -> None:
    data = saved({"a": the_torch().arange(100), "b": "text"})
    for cut in range(0, len(data), 37):
        with pytest.raises(DecodeError, match="not readable"):
            get_format("checkpoint").decode(data[:cut], {})


def test_an_error_of_the_disk_passes_through_torch_as_it_is() -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    state = {"a": the_torch().zeros(100)}
    with pytest.raises(OSError, match="No space left"):
        get_format("checkpoint").encode(state).write(Full())
