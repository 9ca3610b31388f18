"""The path of an artifact is an injective function of its spec and variant (docs/format.md, I18)."""

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbundle.base.errors import ContractError, InvalidName
from runbundle.base.ids import fold, is_token
from runbundle.contract.contract import Contract
from runbundle.contract.layout import STANDARD, Layout
from runbundle.contract.spec import ArtifactSpec

GRIDPET = Layout(
    name="gridpet",
    folders={"x": "grid", "y": "grid", "Z": "artifacts/Z"},
    file_name="{input_stem}__{suffix}[__{variant}]{ext}",
)
LAYOUTS = [
    STANDARD,
    GRIDPET,
    Layout(default_folder="all", file_name="{suffix}[a{variant}]{ext}"),
    Layout(default_folder="all", file_name="{suffix}{ext}[_{variant}]"),
    Layout(default_folder="all", file_name="{ext}-{suffix}[.{variant}]"),
    Layout(default_folder="all", file_name="{suffix}{suffix}[_{variant}]{ext}"),
]
TOKENS = st.from_regex(r"[ab]([ab_.]{0,4}[ab])?", fullmatch=True)
SPECS = st.lists(
    st.tuples(st.sampled_from("xyXZz"), TOKENS, st.sampled_from([".a", ".b", ".b.a", ".a.a", ".b_a"])),
    min_size=1,
    max_size=6,
)
STEM = "IMG"


def contract_of(layout: Layout, specs: list[tuple[str, str, str]]) -> Contract:
    """A contract of those of the specs that it takes."""
    made = Contract("demo", "1", layout=layout)
    for number, (kind, suffix, ext) in enumerate(specs):
        spec = ArtifactSpec(f"id{number}", kind, suffix, ext, "file")
        with contextlib.suppress(ContractError):
            made = Contract("demo", "1", (*made.artifacts, spec), layout=layout)
    return made


def names_of(contract: Contract, spec: ArtifactSpec, variants: list[str]) -> dict[str | None, str]:
    """What the layout alone would call the files, by variant."""
    folder = fold(contract.layout.folder_of(spec.kind))
    return {
        variant: f"{folder}/{contract.layout.file_name_of(spec.suffix, spec.ext, variant=variant, input_stem=STEM)}"
        for variant in (None, *variants)
    }


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(LAYOUTS), SPECS, st.lists(TOKENS, max_size=8, unique=True))
@example(STANDARD, [("x", "a", ".b.a"), ("x", "a_b", ".a")], ["b_a", "a.b"])
@example(STANDARD, [("x", "a", ".a"), ("X", "a_b", ".a")], ["b", "b_a", "a"])
def test_no_two_pairs_of_spec_and_variant_share_a_path(
    layout: Layout, specs: list[tuple[str, str, str]], variants: list[str]
) -> None:
    contract = contract_of(layout, specs)
    taken = set()
    for spec in contract.artifacts:
        for variant in (None, *variants):
            try:
                path = fold(contract.path_of(spec, variant=variant, input_stem=STEM))
            except ContractError:
                assert variant is not None
                continue
            assert path not in taken
            taken.add(path)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(LAYOUTS), SPECS, TOKENS)
def test_a_variant_is_refused_only_where_two_names_would_meet(
    layout: Layout, specs: list[tuple[str, str, str]], variant: str
) -> None:
    contract = contract_of(layout, specs)
    for spec in contract.artifacts:
        try:
            contract.path_of(spec, variant=variant, input_stem=STEM)
        except ContractError:
            wanted = names_of(contract, spec, [variant])[variant]
            others = [other for other in contract.artifacts if other.artifact_id != spec.artifact_id]
            assert any(wanted in names_of(contract, other, _inside(wanted)).values() for other in others)


def _inside(name: str) -> list[str]:
    """All that could be a variant in a name."""
    parts = {name[a:b] for a in range(len(name)) for b in range(a + 1, len(name) + 1) if is_token(name[a:b])}
    return sorted(parts)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.file_name)
@pytest.mark.parametrize("variant", ["", "A", "a/b", "../a", "_a", "a_", ".", "a b", "é", "a\0"])
def test_a_variant_is_a_token_in_every_layout(layout: Layout, variant: str) -> None:
    spec = ArtifactSpec("a", "x", "a", ".a", "file")
    with pytest.raises(InvalidName, match="variant"):
        Contract("demo", "1", (spec,), layout=layout).path_of(spec, variant=variant, input_stem=STEM)
