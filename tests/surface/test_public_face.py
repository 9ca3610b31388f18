"""The names that users may rely on, what importing them costs, and that the documents tell the truth about them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import runbundle as rb
from runbundle.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HEAVY = (
    "torch",
    "safetensors",
    "numpy",
    "cv2",
    "PIL",
    "polars",
    "jsonschema",
    "ruamel",
    "logging",
    "subprocess",
    "importlib.metadata",
)


def run_python(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)


def test_the_public_names_are_few_and_each_is_there() -> None:
    assert len(rb.__all__) <= 36
    assert dir(rb) == sorted(rb.__all__)
    assert [name for name in rb.__all__ if getattr(rb, name, None) is None] == []


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'IOManager'"):
        _ = rb.IOManager


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    done = run_python(f"import sys, runbundle; print([m for m in {HEAVY!r} if m in sys.modules])", tmp_path)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0)


def test_a_script_runs_without_any_extra(tmp_path: Path) -> None:
    blocked = ("numpy", "cv2", "PIL", "polars", "jsonschema", "safetensors", "torch")
    code = f"""
import sys
for name in {blocked!r}:
    sys.modules[name] = None
import runbundle as rb
with rb.start("plain", config={{"a": 1}}, store="store") as run:
    run.log({{"loss": 0.5}})
    run.save("notes.txt", "hello")
    try:
        run.save("a.npz", {{"x": [1]}})
    except rb.errors.MissingExtra as error:
        print(error.hint)
print(rb.open_run(run.path).verify().findings)
"""
    done = run_python(code, tmp_path)
    assert done.stdout.splitlines() == ['Install it: pip install "runbundle[arrays]"', "()"], done.stderr


def test_the_example_of_the_readme_runs(tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example is not None
    done = run_python(example[1], tmp_path)
    assert (done.stdout.strip(), done.stderr) == ("completed 0.97 {'classes': 10}", "")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "completed () no bread today"),
        (1, "completed 2"),
        (6, "4 (4, 4) ()"),
        (8, '{\n  "weights": [\n    0.1,\n    0.2\n  ]\n}\n\ntrain'),
        (10, "within tolerance lr: 0.1, then 0.2 loss: 0.9, then 0.8"),
    ],
    ids=["contract", "resume", "predictions", "models", "diff"],
)
def test_the_examples_of_the_guide_run(tmp_path: Path, number: int, said: str) -> None:
    guide = (ROOT / "docs/guide.md").read_text(encoding="utf-8")
    done = run_python(re.findall(r"```python\n(.*?)```", guide, re.DOTALL)[number], tmp_path)
    assert (done.stdout.strip(), done.stderr) == (said, "")


def test_the_examples_of_tables_run(tmp_path: Path) -> None:
    for library in ("polars", "duckdb"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs/guide.md").read_text(encoding="utf-8"), re.DOTALL)
    made, read, joined = (
        next(code for code in examples if words in code) for words in ("run.append(", "import duckdb", ".join(configs")
    )
    done = run_python(made, tmp_path)
    assert (done.stdout.splitlines(), done.stderr) == (["600 3 0 299", "44.1", "2"], "")
    done = run_python(read, tmp_path)
    assert (done.stdout.splitlines()[-1], done.stderr) == ("[(1, 0.75), (2, 1.495)]", "")
    done = run_python(joined, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert ["1", "0.9975"] in [re.findall(r"[\d.]+", line) for line in done.stdout.splitlines()]


def test_the_example_of_reproductions_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/reproduce.md").read_text(encoding="utf-8"), re.DOTALL)
    done = run_python(example, tmp_path)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_example_of_a_checkpoint_runs(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    guide = (ROOT / "docs/guide.md").read_text(encoding="utf-8")
    (example,) = [code for code in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "import torch" in code]
    done = run_python(example, tmp_path)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_readme_names_every_command_and_every_file_it_links() -> None:
    assert [name for name in COMMANDS if f"runbundle {name}" not in README] == []
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_format_lists_every_code_that_a_finding_may_have() -> None:
    listed = set(
        re.findall(r"^\| `(\w+)` \| (?:verify|check|warning) \|", (ROOT / "docs/format.md").read_text(), re.MULTILINE)
    )
    sources = "".join(path.read_text() for path in (ROOT / "src/runbundle").rglob("*.py"))
    given = set(re.findall(r'(?:Finding\(\s*|\.find\(|return )"(\w+)",', sources))
    assert given == listed


def test_nothing_tracked_names_a_registry_or_a_machine() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert "uv.lock" not in tracked
    for name in filter(lambda name: (ROOT / name).exists(), tracked):
        text = (ROOT / name).read_bytes()
        assert b"pypi" + b".org" not in text, name
        assert b"/ro" + b"ot/" not in text, name


def test_only_the_modules_that_make_runs_and_models_rename_folders_into_place() -> None:
    makers = sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "src/runbundle").rglob("*.py")
        if "UnseenFolder(" in path.read_text()
    )
    assert makers == ["src/runbundle/run/create.py", "src/runbundle/store/registry.py"]
