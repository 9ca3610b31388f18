"""The errors of ``crv.io``: one branch of the library's tree, and what each is besides."""

import pickle

import pytest

import runbundle as rb
from crv.io.errors import (
    IoConfigError,
    IoError,
    IoForkedError,
    IoManifestError,
    IoSchemaError,
    IoSealedError,
    IoWriteError,
    io_errors,
)

CASES: list[tuple[type[IoError], type[Exception], int]] = [
    (IoConfigError, ValueError, 2),
    (IoSchemaError, ValueError, 2),
    (IoWriteError, OSError, 4),
    (IoSealedError, rb.errors.RunSealed, 1),
    (IoForkedError, rb.errors.UnsupportedError, 4),
    (IoManifestError, OSError, 1),
]


@pytest.mark.parametrize(("kind", "besides", "exit_code"), CASES)
def test_each_is_an_io_error_and_ends_a_command_as_its_branch_does(
    kind: type[IoError], besides: type[Exception], exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    error = kind("It went wrong", hint="Do this", run="r1", artifact="holdings", path="a/b")
    assert isinstance(error, (IoError, rb.RunbundleError))
    assert isinstance(error, besides)
    assert str(error) == "It went wrong (run r1, artifact holdings, file a/b). Do this"
    assert rb.report_error(error, prog="crv") == exit_code
    assert capsys.readouterr().err == "crv: It went wrong (run r1, artifact holdings, file a/b)\n  Do this\n"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(again), str(again), again.to_json()) == (kind, str(error), error.to_json())


def test_their_codes_differ() -> None:
    assert len({kind.code for kind, _, _ in CASES} | {IoError.code}) == len(CASES) + 1


@pytest.mark.parametrize(
    ("below", "above"),
    [
        (rb.errors.InvalidValue, IoSchemaError),
        (rb.errors.InvalidType, IoSchemaError),
        (rb.errors.ContractError, IoSchemaError),
        (rb.errors.RunSealed, IoSealedError),
        (rb.errors.RunClosed, IoWriteError),
        (rb.errors.UnavailableError, IoWriteError),
        (rb.errors.ArtifactExists, IoWriteError),
        (rb.errors.DigestMismatch, IoManifestError),
        (rb.errors.ArtifactNotFound, IoManifestError),
        (rb.errors.UnsupportedError, IoForkedError),
        (rb.errors.UnsupportedVersion, IoWriteError),
        (rb.RunbundleError, IoWriteError),
    ],
)
def test_what_the_library_raises_becomes_the_matching_one_and_stays_its_cause(
    below: type[rb.RunbundleError], above: type[IoError]
) -> None:
    cause = below("what", hint="hint", artifact="its own", path="p")
    with pytest.raises(IoError) as caught, io_errors(run="r1", artifact="holdings"):
        raise cause
    error = caught.value
    assert (type(error), error.__cause__) == (above, cause)
    assert (error.what, error.hint, error.run, error.artifact, error.path) == ("what", "hint", "r1", "holdings", "p")


def test_one_that_is_raised_within_is_told_its_place_and_others_pass() -> None:
    with pytest.raises(IoSchemaError) as caught, io_errors(run="r1", artifact="holdings"):
        raise IoSchemaError("what", artifact="messages")
    assert (caught.value.run, caught.value.artifact, caught.value.__cause__) == ("r1", "messages", None)
    for other in (KeyError("x"), rb.errors.MissingExtra("Polars")):
        with pytest.raises(type(other)) as passed, io_errors():
            raise other
        assert passed.value is other
