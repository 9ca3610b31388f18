import pytest

from runbundle.base.findings import Finding, Report

FINDING = Finding("missing", "a/b.png", "the file is not there")


def test_a_finding_as_a_line_and_as_json() -> None:
    assert str(FINDING) == "missing: a/b.png: the file is not there"
    assert FINDING.to_json() == {"code": "missing", "subject": "a/b.png", "message": "the file is not there"}


@pytest.mark.parametrize(
    ("report", "is_good"),
    [(Report(()), True), (Report((), ("unsealed",), (FINDING,)), True), (Report((FINDING,)), False)],
)
def test_a_report_is_good_without_findings_whatever_its_notes_and_warnings(report: Report, *, is_good: bool) -> None:
    assert report.is_good is is_good
    assert list(report) == list(report.findings)
    assert report.to_json() == {
        "is_good": is_good,
        "findings": [finding.to_json() for finding in report.findings],
        "warnings": [warning.to_json() for warning in report.warnings],
        "notes": list(report.notes),
    }
