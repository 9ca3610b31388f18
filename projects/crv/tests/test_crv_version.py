import crv


def test_the_version_is_told() -> None:
    assert crv.__version__
