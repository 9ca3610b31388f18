"""Blocks without the cyclic collector, one within another and one beside another."""

from __future__ import annotations

import gc
import threading

import pytest

from runbundle.base.collector import uncollected


def test_the_collector_rests_in_a_block_and_works_after_it() -> None:
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_sets_it_to_work_again() -> None:
    with pytest.raises(ZeroDivisionError), uncollected():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_one_that_was_at_rest_stays_so() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_works_again_after_blocks_of_several_threads() -> None:
    entered, go_on = threading.Barrier(2), threading.Barrier(2)

    def rest() -> None:
        with uncollected():
            entered.wait()
            go_on.wait()

    thread = threading.Thread(target=rest)
    with uncollected():
        thread.start()
        entered.wait()
    go_on.wait()
    thread.join()
    assert gc.isenabled()
