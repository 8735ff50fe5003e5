"""Records of other tools: the layout, what is refused, and that the folder is read like a sweep's."""

import csv
import itertools
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow_server import free_port
from tracked_rows import place, runs_of

from sweep import look, record, ui
from sweep.folder import Folder, FolderError
from sweep.foreign import runs
from sweep.imported import bring

COLUMNS = ("method", "setting.strength", "order", "seed", "step", "task", "accuracy")
ORDERS = tuple(itertools.permutations(range(3)))


def lines(method="ewc", strength=1.0, loss=0.02, orders=ORDERS, seeds=(0, 1)):
    """A line for every task learnt, after every step."""
    return [
        [
            method,
            strength,
            " ".join(map(str, order)),
            seed,
            step,
            task,
            round(0.95 - loss * (step - 1 - p) - 0.01 * seed, 4),
        ]
        for order in orders
        for seed in seeds
        for step in range(1, len(order) + 1)
        for p, task in enumerate(order[:step])
    ]


def written(path, values, columns=COLUMNS):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *values])
    return path


def refused(tmp_path, values, columns=COLUMNS):
    with pytest.raises(ValueError) as error:
        runs(written(tmp_path / "odd.csv", values, columns))
    return str(error.value).replace(str(tmp_path), "")


def test_a_file_becomes_a_folder_that_report_and_analyse_read(tmp_path):
    values = lines() + lines("sgd", "", 0.08)
    folder, count = bring(written(tmp_path / "other.csv", values), tmp_path / "out", baselines=["sgd"])
    assert count == 2 * 6 * 2
    now, problems = look.status(folder.root)
    assert (now.done, now.expected, now.failed, problems) == (24, 24, 0, ())
    tables = {sheet.name: sheet.lines for sheet in look.analyse(folder.root)}
    ewc = next(line for line in tables["summary"] if line["method"] == "ewc")
    # In every order the tasks end at .95, .93 and .91, the second seed .01 lower.
    assert ewc["mean"] == pytest.approx(0.925) and ewc["learning_accuracy"] == pytest.approx(0.945)
    assert ewc["forgetting"] == pytest.approx(0.03)  # of the first task .04, of the second .02
    (pair,) = tables["pairs"]
    assert (pair["mean"], pair["won"]) == (pytest.approx(0.06), 1.0)
    assert {line["similarity"] for line in tables["relations"]} == {None}
    ended = look.render(folder.root)
    assert "ewc (settings as given) reaches 92.50 %" in ended.results["verdict"]
    data = re.findall(
        r'"z": \[\[.*?\]\]', folder.report.read_text()
    )  # matrices: empty before a task is learnt
    assert data and all("NaN" not in one for one in data) and any("null" in one for one in data)


def test_parquet_with_lists_is_read_as_csv_is(tmp_path):
    values = lines()
    bring(written(tmp_path / "a.csv", values), tmp_path / "a")
    columns = dict(zip(COLUMNS, map(list, zip(*values, strict=True)), strict=True))
    columns["order"] = [list(map(int, order.split())) for order in columns["order"]]
    pq.write_table(pa.table(columns), tmp_path / "b.parquet")
    bring(tmp_path / "b.parquet", tmp_path / "b")
    one, other = (record.read(Folder.at(tmp_path / name).records).rows for name in "ab")
    assert [row["fingerprint"] for row in one] == [row["fingerprint"] for row in other]
    assert np.array_equal([row["test"] for row in one], [row["test"] for row in other], equal_nan=True)


def test_the_same_file_again_changes_nothing_and_others_add_their_runs(tmp_path):
    first = written(tmp_path / "a.csv", lines())
    assert bring(first, tmp_path / "out")[1] == bring(first, tmp_path / "out")[1] == 12
    assert bring(written(tmp_path / "b.csv", lines("sgd", "")), tmp_path / "out")[1] == 24
    with pytest.raises(ValueError, match=r"c.csv:2: the run of ewc .* is on record with other accuracies"):
        bring(written(tmp_path / "c.csv", lines(loss=0.03)), tmp_path / "out")


def test_runs_that_lack_or_failed_are_counted(tmp_path):
    values = [line for line in lines() if (line[2], line[3]) != ("2 1 0", 1)]
    columns = [*COLUMNS, "error"]
    values = [[*line, ""] for line in values if (line[2], line[3]) != ("2 0 1", 0)]
    values.append(["ewc", 1.0, "2 0 1", 0, "", "", "", "diverged: loss is nan"])
    folder, _ = bring(written(tmp_path / "a.csv", values, columns), tmp_path / "out")
    now, _ = look.status(folder.root)
    assert (now.done, now.expected, now.failed) == (11, 12, 1)
    (line,) = look.analyse(folder.root, ["summary"])[0].lines
    assert (line["missing"], line["failed"]) == (1, 1)


def test_tasks_learnt_alone_are_the_noise_floor(tmp_path):
    alone = [
        ["ewc", 1.0, str(task), seed, 1, task, 0.9 + 0.01 * seed] for task in range(3) for seed in (0, 1, 2)
    ]
    folder, _ = bring(written(tmp_path / "a.csv", lines() + alone), tmp_path / "out")
    tasks = look.analyse(folder.root, ["tasks"])[0].lines
    assert [line["nets"] for line in tasks] == [3, 3, 3]
    assert all(line["floor"] > 0 and line["orders"] == 6 for line in tasks)


def test_two_seeds_and_both_splits_may_be_told_apart(tmp_path):
    columns = ("method", "order", "seed_init", "seed_data", "step", "task", "accuracy", "split")
    values = [
        ["er", "0-1", 3, 4, step, task, 0.9, split]
        for split in ("valid", "test")
        for step, task in ((1, 0), (2, 0), (2, 1))
    ]
    (told,) = runs(written(tmp_path / "a.csv", values, columns))
    assert (told.seeds, told.order, told.valid is not None, told.test is not None) == (
        (3, 4),
        (0, 1),
        True,
        True,
    )
    assert np.isnan(told.test[0]).all() and np.isnan(told.test[1][1])


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("order", "0 0 2", "/odd.csv:3, column order: '0 0 2' is no order: name each task once"),
        ("order", "0 1", "column order: (0, 1) names 2 of the 3 tasks of the file: name all, or one"),
        ("seed", "one", "/odd.csv:3, column seed: 'one' is no whole number of at least 0"),
        ("step", 4, "/odd.csv:3, column step: 4 is more than the 3 tasks of the order"),
        ("accuracy", 93.1, "/odd.csv:3, column accuracy: 93.1 is not in 0..1: divide per cent by 100"),
        ("accuracy", "nan", "/odd.csv:3, column accuracy: nan is not in 0..1"),
        ("accuracy", "", "/odd.csv:3, column accuracy: empty: give it, or say what failed in column error"),
        ("accuracy", "good", "/odd.csv:3, column accuracy: 'good' is no number"),
        ("method", "", "/odd.csv:3, column method: empty: name the method"),
        ("task", 7, "column task: 7 is in no order of the file: tasks are numbered from 0"),
    ],
)
def test_a_wrong_value_is_refused_with_its_line_its_column_and_the_way_out(tmp_path, column, value, said):
    values = lines()
    values[1][COLUMNS.index(column)] = value
    assert said in refused(tmp_path, values)


def test_what_lacks_or_is_there_twice_is_refused(tmp_path):
    values = lines()
    lacks = (
        "the run of ewc in order 0 1 2 with seeds 0 0 lacks the test accuracy of task 0 after step 2: give it"
    )
    assert lacks in refused(tmp_path, values[:1] + values[2:])
    assert "column task: 0 after step 1 is there twice for this run" in refused(
        tmp_path, [values[0], *values]
    )
    assert "/odd.csv:2: 3 values for 7 columns: give one each" in refused(tmp_path, [values[0][:3]])
    assert "no lines below the columns" in refused(tmp_path, [])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (COLUMNS[:-1], "column accuracy is missing: the columns needed are method, order, step, task"),
        ((*COLUMNS[:3], "init", *COLUMNS[4:]), "column seed is missing: give it, or seed_init and seed_data"),
        ((*COLUMNS[:1], "strength", *COLUMNS[2:]), "name it setting.strength if it is a setting"),
        ((*COLUMNS[:1], "method", *COLUMNS[2:]), "column method is there twice"),
    ],
)
def test_wrong_columns_are_refused_with_the_way_out(tmp_path, columns, said):
    assert said in refused(tmp_path, [line[: len(columns)] for line in lines()], columns)


def test_files_that_are_no_tables_are_refused(tmp_path):
    odd = tmp_path / "odd.csv"
    odd.write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(ValueError, match="not text in UTF-8"):
        runs(odd)
    odd.write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match="not readable as Parquet"):
        runs(odd)
    with pytest.raises(ValueError, match="is no file: give the CSV or Parquet file"):
        bring(tmp_path / "none.csv", tmp_path / "out")
    with pytest.raises(ValueError, match="no run is of the baseline joint"):
        bring(written(tmp_path / "a.csv", lines()), tmp_path / "out", baselines=["joint"])


def test_a_sweep_and_imported_records_do_not_share_a_folder(tmp_path):
    bring(written(tmp_path / "a.csv", lines()), tmp_path / "out")
    with pytest.raises(FolderError, match="holds imported records: nothing can be run for them"):
        Folder.of_sweep(tmp_path / "out")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "space.toml").write_text("")
    with pytest.raises(FolderError, match="holds a sweep: import into another --out"):
        bring(tmp_path / "a.csv", tmp_path / "sweep")
    assert json.loads((tmp_path / "out" / "imported.json").read_text()) == {"sweep": "out", "baselines": []}


def test_imported_records_are_in_mlflow_once_however_often_they_are_synced(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    values = lines(orders=ORDERS[:2], seeds=[0]) + lines("sgd", "", 0.08, orders=ORDERS[:2], seeds=[0])
    folder, _ = bring(written(tmp_path / "a.csv", values), tmp_path / "out")
    assert look.sync(folder.root) is None
    at = place(folder.root, identity=folder.identity())
    first = sorted(run.info.run_id for run in runs_of(at))
    assert len(first) == 1 + 2 + 4  # the file, two methods, their runs
    assert look.sync(folder.root) is None
    assert sorted(run.info.run_id for run in runs_of(at)) == first
    assert "mlflow" in ui.server(folder.root, free_port())


def test_the_page_of_imported_records_names_no_command_and_what_needs_a_space_is_refused(tmp_path):
    folder, _ = bring(written(tmp_path / "a.csv", lines(orders=ORDERS[:2])), tmp_path / "out")
    look.render(folder.root)
    page = folder.report.read_text()
    assert "These records were imported" in page and "nai-sweep run" not in page
    for refused_for in (look.weights, look.preset):
        with pytest.raises(FolderError, match="holds imported records: nothing can be run for them"):
            refused_for(folder.root)
