"""A folder belongs to one space and to one process at a time."""

import subprocess
import sys

import pytest
from tiny_sweeps import ROOT, driver, tiny

from sweep.folder import Folder, FolderError
from sweep.parts import add
from sweep.space import read

HOLD = """
import time
from sweep.folder import Folder
with Folder.at("out").owned():
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path):
    made = Folder.at(tmp_path / "out")
    made.adopt(tiny())
    return made


@pytest.fixture
def holder(folder):
    """Another process that holds the folder."""
    process = driver(HOLD, folder.root.parent)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_folder_remembers_its_space(folder):
    assert read(folder.space) == tiny()
    folder.adopt(tiny())
    assert Folder.of_sweep(folder.root) == folder


def test_a_folder_without_a_space_is_no_sweep(tmp_path):
    (tmp_path / "link").symlink_to("/")  # where no sweep is, links are nobody's business
    with pytest.raises(FolderError, match=r"holds no sweep: it has no space.toml; start one with"):
        Folder.of_sweep(tmp_path)


def test_paths_are_absolute_wherever_the_process_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Folder.at("out")
    monkeypatch.chdir("/")
    assert made.root == tmp_path / "out"


@pytest.mark.parametrize(
    "change",
    [
        "search.suggestions=9",
        "search.budgets={nai=9}",
        "orders.count=5",
        "resources.cpus=2",
        "resources.stack=1",
        "resources.memory=4",
        "confirm.top=2",
        "confirm.baselines=['ewc']",
        "confirm.orders={design='all'}",
        "confirm.methods=['nai']",
        "benchmark.root=elsewhere",
    ],
)
def test_how_long_and_where_a_sweep_runs_may_change_and_so_may_what_it_confirms(folder, change):
    folder.adopt(tiny("benchmark.dataset=mnist"))
    add(folder.records, b"something on record")
    folder.adopt(tiny("benchmark.dataset=mnist", change))
    assert read(folder.space) == tiny("benchmark.dataset=mnist", change)


@pytest.mark.parametrize(
    "change", ["search.seed=1", "search.rungs=[2]", "objective.aggregate=worst", "orders.design=latin"]
)
def test_what_decides_the_runs_may_not_change(folder, change):
    add(folder.records, b"something on record")
    with pytest.raises(FolderError, match=change.partition("=")[0]):
        folder.adopt(tiny(change))


def test_another_space_is_refused_with_every_key_that_differs(folder):
    other = tiny("training.epochs=2", "orders.seed=5", "method.eps=0.5", "search.suggestions=9")
    add(folder.records, b"something on record")
    with pytest.raises(FolderError) as refused:
        folder.adopt(other)
    assert str(refused.value).splitlines() == [
        f"{folder.root} holds a sweep of another space:",
        "  method.eps: (not set) -> 0.5",
        "  orders.seed: 0 -> 5",
        "  training.epochs: 1 -> 2",
        "take another --out, or the space as it was",
        f"(what both run is not trained again where --out starts with a copy of {folder.root}/records)",
    ]
    assert read(folder.space) == tiny()


def test_a_folder_without_any_record_takes_another_space(folder):
    folder.adopt(tiny("training.epochs=2"))
    assert read(folder.space) == tiny("training.epochs=2")


def test_a_folder_in_use_is_refused_with_the_name_of_its_user(folder, holder):
    used = rf"is in use by process {holder.pid} on \S+: wait for it, or stop it"
    with pytest.raises(FolderError, match=used), folder.owned():
        pass


def test_a_folder_whose_owner_was_killed_is_free(folder, holder):
    holder.kill()
    holder.wait()
    with folder.owned():
        pass


def test_a_folder_is_free_again_after_use_also_after_an_error(folder):
    with pytest.raises(ZeroDivisionError), folder.owned():
        raise ZeroDivisionError
    with folder.owned():
        assert (folder.root / "sweep.lock.json").is_file()
    assert not (folder.root / "sweep.lock.json").exists()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "notes").write_text("keep")
    with (
        pytest.raises(FolderError, match="is a file: a sweep needs a folder"),
        Folder.at(tmp_path / "notes").owned(),
    ):
        pass
    assert (tmp_path / "notes").read_text() == "keep"


def test_the_folder_needs_no_torch(tmp_path):
    code = "import sys, sweep.folder; sys.exit('torch' in sys.modules or 'ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
