"""A suggestion on record is read back as it was made, or not at all."""

import json

import pytest

from sweep import asked, parts
from sweep.asked import Suggestion

ONE = Suggestion(
    3,
    {"method.strength": 0.1 + 0.2, "model.widths": (20, (30,)), "method.fisher": True, "training.epochs": 5},
    {"tpe:relative_params:0": '{"method.strength": 0.30000000000000004}', "generation": 1},
)


def test_a_suggestion_comes_back_as_it_was(tmp_path):
    other = ONE._replace(number=0, attrs={})
    asked.write(tmp_path / "suggestions", "nai", ONE)
    asked.write(tmp_path / "suggestions", "nai", other)
    asked.write(tmp_path / "suggestions", "ewc", ONE)
    found = asked.read(tmp_path / "suggestions")
    assert found.suggestions == {"nai": {0: other, 3: ONE}, "ewc": {3: ONE}}
    assert found.problems == ()
    back = found.suggestions["nai"][3].values
    assert [type(v) for v in back.values()] == [type(back[name]) for name in sorted(ONE.values)]
    assert back["model.widths"] == (20, (30,)) and back["method.fisher"] is True


def test_the_same_suggestion_is_the_same_file(tmp_path):
    assert asked.write(tmp_path, "nai", ONE) == asked.write(tmp_path, "nai", ONE)
    assert len(parts.listed(tmp_path)) == 1


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert asked.read(tmp_path / "none") == ({}, ())


def test_the_file_names_the_release_that_asked(tmp_path):
    content = json.loads(asked.write(tmp_path, "nai", ONE).read_text())
    assert content["optuna"].split(".")[0].isdigit()


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-9], lambda data: data.replace(b"0.3", b"0.4"), lambda _: b""]
)
def test_a_torn_or_altered_file_is_a_problem_and_its_suggestion_is_not_there(tmp_path, spoil):
    path = asked.write(tmp_path, "nai", ONE)
    path.write_bytes(spoil(path.read_bytes()))
    found = asked.read(tmp_path)
    assert found.suggestions == {}
    assert [one.path for one in found.problems] == [path]
    assert "its suggestion is asked again" in found.problems[0].reason


@pytest.mark.parametrize(
    "data",
    [b"not JSON", b"[]", b"{}", b'{"method":"nai","number":-1,"values":{},"attrs":{},"optuna":"5"}', b"\xff"],
)
def test_a_sound_file_that_is_no_suggestion_is_a_problem(tmp_path, data):
    path = parts.add(tmp_path, data, kind=".json")
    (problem,) = asked.read(tmp_path).problems
    assert problem.path == path and problem.reason.startswith("not a suggestion of a sweep")


def test_two_files_about_one_number_are_a_problem_whose_first_name_counts(tmp_path):
    paths = [asked.write(tmp_path, "nai", ONE._replace(values={"x": x})) for x in range(4)]
    found, first = asked.read(tmp_path), min(paths)
    assert found.suggestions["nai"][3].values == {"x": paths.index(first)}
    assert [one.path for one in found.problems] == sorted(paths)[1:]
    assert all("another file has suggestion 3 of nai" in one.reason for one in found.problems)


def test_a_part_of_records_is_no_suggestion(tmp_path):
    parts.add(tmp_path, b"rows")
    assert len(asked.read(tmp_path).problems) == 1


def test_what_json_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        asked.write(tmp_path, "nai", ONE._replace(values={"x": float("nan")}))
    assert parts.listed(tmp_path) == []
