"""Nothing is written outside of a sweep's folder, nothing in it is run, and no password is written down."""

import pytest
from tiny_sweeps import OWN, inline, tiny

from sweep import asked, parts, session
from sweep.folder import Folder, FolderError

CANARY = "c4n4ry-in-a-mine"
SMALL = ("search.suggestions=1", "orders.count=1", "confirm.orders.count=1")
FILES = (
    "space.toml",
    "command.txt",
    "results.json",
    "report.html",
    "progress.json",
    "mlflow.db",
    "sweep.lock",
    "sweep.lock.json",
)
FOLDERS = ("records", "suggestions", "states", "ray", "mlartifacts")


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_link_out_of_the_folder_is_refused_and_what_it_leads_to_is_left_alone(tmp_path, name):
    out, victim = tmp_path / "out", tmp_path / "victim"
    out.mkdir()
    if name in FOLDERS:
        victim.mkdir()
        (victim / "precious").write_text("mine")
    else:
        victim.write_text("mine")
    (out / name).symlink_to(victim)
    with pytest.raises(FolderError, match=rf"{name} is a link that leads out of the sweep's folder"):
        inline(tiny(*SMALL), out)
    assert [path.name for path in out.iterdir()] == [name]
    if name in FOLDERS:
        assert [path.read_text() for path in victim.iterdir()] == ["mine"]
    else:
        assert victim.read_text() == "mine"


def test_a_link_in_circles_is_refused_and_one_within_the_folder_is_not(tmp_path):
    (tmp_path / "records").symlink_to(tmp_path / "records")
    with pytest.raises(FolderError, match="records is a link"):
        Folder.at(tmp_path).contained()
    (tmp_path / "records").unlink()
    (tmp_path / "real").mkdir()
    (tmp_path / "records").symlink_to("real")
    Folder.at(tmp_path).contained()


def test_a_folder_that_is_only_looked_at_has_no_links_out_of_it_either(tmp_path):
    (tmp_path / "space.toml").symlink_to("/dev/null")
    with pytest.raises(FolderError, match="leads out"):
        session.status(tmp_path)


def test_a_folder_may_itself_be_reached_by_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "here").symlink_to(tmp_path / "real")
    inline(tiny(*SMALL), tmp_path / "here")
    assert (tmp_path / "real" / "results.json").is_file()


def test_no_password_of_an_address_is_written_down_or_said(tmp_path, monkeypatch):
    """A store that refuses every call, whose address has a password, as has that of the cluster."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{CANARY}@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", CANARY)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("sys.argv", ["nai-sweep", "run", "tiny", "--address", f"ray://me:{CANARY}@host:1"])
    notes = []
    session.run(tiny(*SMALL), tmp_path, engine="inline", watch=session.Watch(note=notes.append))
    (behind,) = notes
    assert "is behind by" in behind and "nai-sweep sync" in behind and CANARY not in behind
    written = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"command.txt", "report.html", "results.json"} <= written.keys()
    assert [name for name, data in written.items() if CANARY.encode() in data] == []
    assert b"ray://***@host:1" in written["command.txt"]


LEAKY = f"""{OWN}

@dataclass(frozen=True)
class Leaky(Nai):
    def pool(self, done, task):
        raise KeyError("no way in with " + os.environ["MY_API_TOKEN"])
"""


def test_no_secret_of_the_environment_is_in_records_pages_mlflow_or_storage(tmp_path, monkeypatch):
    """The error of a user's own method has it, and goes into every one of them."""
    (tmp_path / "own_leaky.py").write_text(LEAKY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MY_API_TOKEN", CANARY)
    out, storage = tmp_path / "out", tmp_path / "storage"
    space = tiny("method.name='own_leaky:Leaky'", *SMALL)
    ended = session.run(space, out, engine="inline", storage=str(storage))
    (failed,) = ended.results["failures"]
    assert failed["error"] == "KeyError: 'no way in with ***'"
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    names = {path.relative_to(tmp_path).as_posix() for path in written}
    assert {"out/mlflow.db", "out/report.html", "storage/results.json"} <= names
    assert [path for path, data in written.items() if CANARY.encode() in data] == []


def test_python_in_a_sweeps_folder_is_not_imported(tmp_path, monkeypatch):
    """A method is looked for where the command was started, never where the sweep lies."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "planted.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{OWN}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match="planted:Plain' cannot be imported"):
        inline(tiny("method.name=planted:Plain", *SMALL), tmp_path / "out")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000, b"\xff\xfe", b"NaN"])
def test_a_suggestion_meant_to_break_its_reader_is_told_and_not_read(tmp_path, data):
    path = parts.add(tmp_path, data, kind=".json")
    found = asked.read(tmp_path)
    assert found.suggestions == {}
    assert [problem.path for problem in found.problems] == [path]


def test_a_gadget_in_place_of_any_file_is_never_run(tmp_path):
    """Each file that a sweep reads again, replaced by a pickle that would leave a mark."""
    mark = tmp_path / "ran"
    gadget = f"cos\nsystem\n(S'touch {mark}'\ntR.".encode()
    out = tmp_path / "out"
    inline(tiny(*SMALL), out)
    (out / "states").mkdir(exist_ok=True)
    for path in [
        *out.glob("records/*"),
        *out.glob("suggestions/*"),
        out / "progress.json",
        out / "tasks.json",
        out / "states" / f"{'0' * 64}.safetensors",
    ]:
        path.write_bytes(gadget)
    standing, problems = session.status(out)
    assert standing.done == 0 and problems
    for path in [*out.glob("records/*"), *out.glob("suggestions/*")]:
        path.unlink()
    assert inline(tiny(*SMALL), out).results["complete"]
    assert not mark.exists()
