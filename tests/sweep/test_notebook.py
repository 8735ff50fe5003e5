"""What results show of themselves in a notebook: their figures, and names as text."""

import torch
from made_study import EVIL, found, made
from read_page import Read

import nai
from nai.tree import Grown
from sweep import analysis, look
from sweep.analysis import Verdict
from sweep.folder import Folder
from sweep.standing import Leader, Standing


def test_a_sweep_shows_verdict_cautions_and_table(tmp_path):
    results = found(made(), expected=104)
    ended = look.Ended(Folder.at(tmp_path), results, False, 1.0)
    read = Read(ended._repr_html_())
    assert results["verdict"] in read.text and all(one in read.text for one in results["cautions"])
    best = results["table"][0]
    assert f"{100 * best['mean']:.2f} ± {100 * best['half']:.2f} % {100 * best['worst']:.2f} %" in read.text
    assert "63 % complete" in read.text and str(tmp_path / "report.html") in read.text
    assert len(read.all("tr")) == 1 + 2


def test_names_are_text_in_notebooks(tmp_path):
    rows = made(word=EVIL)
    ended = look.Ended(Folder.at(tmp_path), found(rows, sweep=EVIL), False, 1.0)
    for shown in (ended, Verdict(EVIL, (EVIL,)), Standing(1, 0, 2, EVIL, Leader("a", EVIL, 0.5, 0.4))):
        read = Read(shown._repr_html_())
        assert not read.scripts and EVIL not in shown._repr_html_()


def test_progress_shows_counts_and_the_best_so_far():
    text = Standing(3, 1, 8, "search", Leader("a", "nai strength=1", 0.9, 0.8))._repr_html_()
    assert 'max="8" value="3"' in text
    assert "search: 3 of 8 runs on record, 1 failed; best so far nai strength=1, 90.00 %" in text


def test_a_verdict_is_a_sentence_with_its_cautions():
    (arm,) = analysis.summary([], (), ()) or (None,)
    assert "No suggestion has all its search runs" in analysis.verdict(arm)._repr_html_()
    assert Verdict("good.", ("One seed only.",))._repr_html_().endswith("<ul><li>One seed only.</li></ul>")


def outcome(test, error=None):
    benchmark, model = nai.Named.of("split", dataset="digits"), nai.Named.of("mlp", widths=[8])
    trial = nai.Trial(benchmark, model, nai.Nai(strength=1.0), nai.Training(), (1, 0))
    result = Grown(trial.method, trial.seeds, (1, 0), test, test, None, 0.0, 1, error, None)
    return nai.Outcome(trial, result)


def test_an_outcome_shows_its_matrix_in_the_order_trained():
    read = Read(outcome(torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.75]]))._repr_html_())
    assert "62.50 on average at the end" in read.text
    text = read.text.replace(" ", "")
    assert "task1task0before20.010.0aftertask140.030.0aftertask075.050.0" in text


def test_an_outcome_that_failed_shows_its_error():
    text = outcome(None, "diverged: <nan>")._repr_html_()
    assert "diverged: &lt;nan&gt;" in text and "<table" not in text
