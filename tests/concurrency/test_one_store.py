"""Many processes make runs in one store at once."""

from pathlib import Path

import runbundle as rb
from concurrency.writers import assert_done, program, scale
from runbundle.store import listing
from sample_runs import own_folder

__all__ = ["own_folder"]

CREATE = """
import os, sys
from pathlib import Path
import runbundle as rb
from sample_runs import FixedClock

wait, go = os.pipe()
children = []
for maker in range(int(sys.argv[1])):
    children.append(os.fork())
    if children[-1] == 0:
        os.close(go)
        os.read(wait, 1)
        for number in range(int(sys.argv[2])):
            owner = rb.Project("demo", store=Path("store"), clock=FixedClock())  # all in one second
            with owner.start({"by": maker, "number": number}) as run:
                run.log({"by": maker})
            os.write(1, f"{run.run_id}\\n".encode())
        os._exit(0)
os.close(go)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)
"""


def test_two_dozen_processes_make_runs_in_the_same_second(tmp_path: Path) -> None:
    count, each = 24, scale(2, 20)
    (tmp_path / "store" / "runs").mkdir(parents=True)
    with program(CREATE, tmp_path, count, each) as makers:
        while makers.poll() is None:
            for row in listing.list_runs(tmp_path / "store"):
                assert (row.error, row.project_name) == (None, "demo")
        ids = assert_done(makers).split()
    assert len(set(ids)) == len(ids) == count * each
    folder = tmp_path / "store" / "runs" / "demo"
    assert sorted(place.name for place in folder.iterdir()) == sorted(ids)
    configs = set()
    for run_id in ids:
        run = rb.open_run(folder / run_id)
        assert (run.status, list(run.verify())) == ("completed", [])
        assert run.summary == {"by": run.config["by"]}
        configs.add((run.config["by"], run.config["number"]))
    assert len(configs) == count * each
