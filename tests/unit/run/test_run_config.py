"""Configurations: as composed and as resolved (seed 002, sections 2, 3 and 7)."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from ruamel.yaml import YAML

import runbundle as rb
from runbundle import errors
from runbundle.io.formats import yaml
from sample_runs import codes, files, project


class Mode(Enum):
    """An enum of a structured configuration."""

    FAST = 1


@dataclass
class Optimizer:
    """A part of a structured configuration."""

    lr: float = 0.1
    name: str = "sgd-${lr}"


@dataclass
class Training:
    """A structured configuration."""

    steps: int = 10
    mode: Mode = Mode.FAST
    optimizer: Optimizer = field(default_factory=Optimizer)
    half: str = "${optimizer.lr}"


COMPOSED: dict[str, Any] = {
    "lr": 0.1,
    "name": "run-${lr}",
    "optimizer": {"lr": "${lr}", "betas": [0.9, "${optimizer.lr}"]},
    "norway": "no",
    "time": "12:30",
    "octal": "012",
    "none": None,
}
RESOLVED = {**COMPOSED, "name": "run-0.1", "optimizer": {"lr": 0.1, "betas": [0.9, 0.1]}}


def stored(run_dir: Path, name: str) -> Any:
    return yaml.load((run_dir / name).read_bytes())


@pytest.mark.parametrize(
    "config",
    [COMPOSED, OmegaConf.create(COMPOSED), {**COMPOSED, "optimizer": OmegaConf.create(COMPOSED["optimizer"])}],
    ids=["mapping", "DictConfig", "mapping of DictConfig"],
)
def test_seed_002_section_3_composed_and_resolved_are_both_kept(tmp_path: Path, config: Any) -> None:
    run = project(tmp_path).start(config)
    assert run.config == RESOLVED
    assert stored(run.path, "config.yaml") == COMPOSED
    assert stored(run.path, "config_resolved.yaml") == RESOLVED
    assert "${" not in (run.path / "config_resolved.yaml").read_text()
    run.finish()
    done = rb.open_run(run.path)
    assert (done.config, codes(done.verify())) == (RESOLVED, [])


def test_a_dataclass_may_hold_interpolations(tmp_path: Path) -> None:
    run = project(tmp_path).start(Optimizer(lr=0.5))
    assert run.config == {"lr": 0.5, "name": "sgd-0.5"}
    assert stored(run.path, "config.yaml")["name"] == "sgd-${lr}"


def test_a_structured_configuration_is_kept_as_plain_values(tmp_path: Path) -> None:
    config = OmegaConf.structured(Training(optimizer=Optimizer(name="sgd")))
    run = project(tmp_path).start(config)
    assert run.config == {"steps": 10, "mode": "FAST", "optimizer": {"lr": 0.1, "name": "sgd"}, "half": "0.1"}


def test_a_node_of_a_larger_configuration_is_resolved_in_it(tmp_path: Path) -> None:
    whole = OmegaConf.create({"seed": 3, "model": {"seed": "${seed}"}})
    run = project(tmp_path).start(whole.model)
    assert (run.config, stored(run.path, "config.yaml")) == ({"seed": 3}, {"seed": "${seed}"})


@pytest.mark.parametrize("name", ["config.yaml", "config_resolved.yaml"])
def test_readers_of_yaml_1_1_and_1_2_read_both_files_alike(tmp_path: Path, name: str) -> None:
    run = project(tmp_path).start(
        {**COMPOSED, "date": "2026-11-21", "exponent": 1e-07, "on": "yes", "sexagesimal": "1:30"}
    )
    text = (run.path / name).read_text(encoding="utf-8")
    reader = YAML(typ="safe", pure=True)
    other: Any = OmegaConf.create(text)  # by PyYAML, which is of 1.1
    assert reader.load(text) == yaml.load(text.encode()) == OmegaConf.to_container(other)


def _cyclic() -> DictConfig:
    return OmegaConf.create({"a": "${b}", "b": "${a}"})


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model": {"layers": [1, "${n}"]}}, r"at model\.layers\[1\].*'n' not found"),
        (_cyclic(), "cannot be resolved at a"),
        ({"a": "${a}"}, "cannot be resolved at a"),
        ({"a": "${nothing:1}"}, "nothing"),
        ({"a": "${oc.env:NOT_SET_ANYWHERE}"}, "NOT_SET_ANYWHERE"),
        ({"a": "${"}, "cannot be resolved at a"),
        ({"a": {"b": "???"}}, r"lacks a value at a\.b"),
        (OmegaConf.create({"a": "???", "b": "${a}"}), "lacks a value at a"),
        (OmegaConf.create({"a": object()}, flags={"allow_objects": True}), "object"),
        (OmegaConf.create({"a": Path("x")}), "Path"),
        ({"a": r"\${b}"}, "also when it is resolved"),
        ({"${a}": "${b}", "b": 1}, "also when it is resolved"),
        (OmegaConf.create([1, 2]), "ListConfig"),
        (OmegaConf.create({"a": float("nan")}), "nan"),
        ({(1, 2): 3}, r"has the key \(1, 2\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_resolved_is_refused_before_anything_is_created(tmp_path: Path, config: Any, said: str) -> None:
    with pytest.raises(errors.InvalidConfig, match=said):
        project(tmp_path / "store").start(config)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:register_new_resolver")  # the name that every version has
def test_what_a_resolver_raises_is_our_error(tmp_path: Path) -> None:
    def fail() -> str:
        raise OSError("the vault is closed")

    OmegaConf.register_new_resolver("test_run_config_fail", fail, replace=True)
    try:
        with pytest.raises(errors.InvalidConfig, match="the vault is closed"):
            project(tmp_path).start({"a": "${test_run_config_fail:}"})
    finally:
        OmegaConf.clear_resolver("test_run_config_fail")


def test_without_omegaconf_the_error_names_the_extra_and_the_place(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["omegaconf"] = None
import runbundle as rb
rb.start("plain", config={"a": 1}, store="store").finish()
try:
    rb.start("plain", config={"a": {"b": "${c}"}}, store="other")
except rb.errors.InvalidConfig as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "at a.b" in done.stdout, done.stderr
    assert 'pip install "runbundle[config]"' in done.stdout
    assert not (tmp_path / "other").exists()


def test_a_configuration_without_interpolations_never_loads_omegaconf(tmp_path: Path) -> None:
    code = "import sys, runbundle as rb; rb.start(config={'a': 1}).finish(); print('omegaconf' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- resume and repair ----------------------------------------------------------------------------


def test_a_resume_under_the_same_configuration_is_no_change(tmp_path: Path) -> None:
    run = project(tmp_path).start(COMPOSED)
    run.finish("failed")
    again = project(tmp_path).resume(run.run_id, OmegaConf.create(COMPOSED))
    assert not (run.path / "provenance" / "1.config.yaml").exists()
    again.finish()
    assert codes(rb.open_run(run.path).verify()) == []


@pytest.mark.parametrize("changed", [{**COMPOSED, "lr": 0.2}, RESOLVED], ids=["value", "composition"])
def test_a_resume_under_another_keeps_both_of_the_old_files(tmp_path: Path, changed: dict[str, Any]) -> None:
    run = project(tmp_path).start(COMPOSED)
    run.finish("failed")
    old = {name: (run.path / name).read_bytes() for name in ("config.yaml", "config_resolved.yaml")}
    with pytest.raises(errors.ResumeRefused, match="the configuration"):
        project(tmp_path).resume(run.run_id, changed)
    with project(tmp_path).resume(run.run_id, changed, allow_changed=True) as again:
        assert again.config["optimizer"]["lr"] == changed["lr"]
    assert stored(run.path, "config.yaml") == changed
    assert {name: (run.path / "provenance" / f"1.{name}").read_bytes() for name in old} == old
    assert codes(rb.open_run(run.path).verify()) == []


@pytest.mark.parametrize("name", ["config.yaml", "config_resolved.yaml"])
def test_a_resume_cut_short_between_the_two_files_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from runbundle.run.session import Session  # noqa: PLC0415 - what is broken here

    run = project(tmp_path).start(COMPOSED)
    run.finish("failed")
    old = {path: (run.path / path).read_bytes() for path in ("config.yaml", "config_resolved.yaml")}
    replace = Session.replace

    def stop(session: Session, staged: Any, target: Any, replaces: Any) -> Any:
        done = replace(session, staged, target, replaces)
        if target["filename"] == name:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(Session, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        project(tmp_path).resume(run.run_id, {**COMPOSED, "lr": 0.2}, allow_changed=True)
    monkeypatch.undo()
    from runbundle.run.repair import repair  # noqa: PLC0415 - not of the public face

    assert "restore" in {step.action for step in repair(run.path)}
    assert {path: (run.path / path).read_bytes() for path in old} == old
    assert codes(rb.open_run(run.path).verify()) == []
    assert "run_manifest.json" in files(run.path)
