import io
import sys
import threading

import pytest

from runbundle.base.progress import ProgressLine
from stand_ins import Terminal

ERASED = "\r\x1b[K"


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the line sees, as its one element."""
    moment = [100.0]
    monkeypatch.setattr("runbundle.base.progress.time.monotonic", lambda: moment[0])
    return moment


def test_nothing_is_written_where_no_terminal_is() -> None:
    stream = io.StringIO()
    with ProgressLine(3, "batch", stream=stream) as line:
        for _ in range(3):
            line.advance()
    assert stream.getvalue() == ""


def test_a_process_without_stderr_has_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with ProgressLine(1, "batch") as line:
        line.advance()


def test_stderr_is_used_and_stdout_left_to_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    with ProgressLine(1, "batch") as line:
        line.advance()
    assert "batch" in stream.shown
    assert capsys.readouterr().out == ""


def test_the_line_grows_and_is_gone_at_the_end(moments: list[float]) -> None:
    stream = Terminal()
    with ProgressLine(4, "batch", stream=stream) as line:
        for _ in range(4):
            moments[0] += 1
            line.advance()
    drawn = stream.shown.split("\rbatch ")[1:]
    assert [text.count("#") for text in drawn] == [6, 12, 18, 24]
    assert drawn[-1].endswith(f"100% {ERASED}")


def test_it_is_gone_after_an_error_too() -> None:
    stream = Terminal()

    def work() -> None:
        with ProgressLine(4, "batch", stream=stream) as line:
            line.advance()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert stream.shown.endswith(ERASED)


def test_fast_work_is_drawn_seldom_and_its_end_always(moments: list[float]) -> None:
    stream = Terminal()
    line = ProgressLine(1000, "batch", stream=stream)
    for _ in range(1000):
        moments[0] += 0.0005
        line.advance()
    assert 4 <= stream.shown.count("\r") <= 7
    assert "100%" in stream.shown


def test_more_than_the_total_stays_whole() -> None:
    stream = Terminal()
    ProgressLine(2, "batch", stream=stream).advance(5)
    assert "[" + "#" * 24 + "] 100%" in stream.shown


def test_no_work_has_no_line() -> None:
    stream = Terminal()
    with ProgressLine(0, "batch", stream=stream) as line:
        line.advance()
    assert stream.shown == ""


def test_threads_share_a_line() -> None:
    stream = Terminal()
    line = ProgressLine(4 * 500, "batch", stream=stream)

    def work() -> None:
        for _ in range(500):
            line.advance()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "100%" in stream.shown
