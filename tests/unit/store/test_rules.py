"""A rule is a SQL WHERE over a run, and nothing more."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.store.rule import facts_of, holds
from sample_runs import trained_run

FACTS: dict[tuple[str, ...], Any] = {
    ("status",): "completed",
    ("git_dirty",): False,
    ("git_hash",): None,
    ("config", "lr"): 0.1,
    ("config", "model", "name"): "unet-small",
    ("config", "layers"): [1, 2],
    ("config", "seed"): 2**70,
    ("metrics", "val_iou"): 0.9,
    ("metrics", "val/loss"): 0.2,
    ("metrics", "x.y"): 3,
    ("metrics", "broken"): math.nan,
    ("metrics", "best"): math.inf,
    ("metrics", 'odd "name"'): 1,
}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("metrics.val_iou > 0.8", True),
        ("metrics.val_iou > 0.95", False),
        ("metrics.val_iou between .5 and 1e0", True),
        ("config.model.name LIKE 'unet%' AND status = 'completed'", True),
        ("not git_dirty and git_hash is null", True),
        ("git_hash = 'abc'", False),
        ('metrics."val/loss" < 0.3', True),
        ('metrics."odd ""name""" = 1', True),
        ("metrics.x.y = 3", True),
        ('"metrics"."val_iou" > 0', True),
        ("metrics.broken > 0 or metrics.broken <= 0", False),
        ("metrics.best > 1e300", True),
        ("config.layers = '[1,2]'", True),
        ("config.seed > 9223372036854775807", True),
        ("status in ('completed', 'failed')", True),
        ("abs(metrics.val_iou - 1) < 0.2", True),
        ("case when config.lr > 1 then 0 else 1 end", True),
        ("status = 'it''s'", False),
        ("2 - -1 = 3 and -1=-1", True),
        ("metrics.val_iou", True),
    ],
)
def test_a_rule_is_a_where_of_sql(rule: str, expected: bool) -> None:  # noqa: FBT001 - a table of rules
    assert holds(rule, FACTS) is expected


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("metrics.val_io > 0.8", "names metrics.val_io, which the run does not have"),
        ("val_iou > 0.8", r"names val_iou, which .*\. It has metrics\.val_iou"),
        ('status = "completed"', 'names "completed"'),
        ("config.model = 1", r"names config\.model"),
        ("metrics.val_iou > 0.8; drop table x", "cannot be understood"),
        ("1) or (1", "did not open"),
        ("(1", "open"),
        ("1 -- and 0", "cannot be understood"),
        ("1 /* x */", "cannot be understood"),
        ("(select 1)", "names select"),
        ("1 union select 1", "names union"),
        ("?1 = 1", "cannot be understood"),
        (":a", "cannot be understood"),
        ("load_extension('x')", "names load_extension"),
        ("randomblob(1000000000)", "names randomblob"),
        ("sqlite_version() = ''", "names sqlite_version"),
        ("metrics.val_iou >", "syntax error"),
        ("1, 2", "cannot be understood"),
        ("'abc", "cannot be understood"),
        ("status = 'a' b", "names b"),
        ("  ", "is empty"),
        ("1 " * 6000, "more than 10000 characters"),
    ],
)
def test_what_is_no_rule_or_names_what_is_not_there_is_an_error(rule: str, message: str) -> None:
    with pytest.raises(errors.InvalidValue, match=message):
        holds(rule, FACTS)


def test_a_name_that_is_nearly_right_is_told() -> None:
    with pytest.raises(errors.InvalidValue) as caught:
        holds("metrics.val_iuo > 0", FACTS)
    assert "metrics.val_iou" in caught.value.hint
    with pytest.raises(errors.InvalidType):
        holds(None, FACTS)  # type: ignore[arg-type]


def test_a_run_tells_its_manifest_configuration_and_metrics(tmp_path: Path) -> None:
    facts = facts_of(rb.open_run(trained_run(tmp_path)))
    assert (facts["status",], facts["project_name",]) == ("completed", "segment")
    assert (facts["config", "lr"], facts["metrics", "val_iou"], facts["metrics", "loss"]) == (0.1, 0.9, 0.25)
