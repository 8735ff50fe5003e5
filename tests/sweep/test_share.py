"""A worker takes no more of a card that it shares than it asked Ray for."""

import pytest
import torch

from sweep import bundle


@pytest.mark.parametrize(
    ("gpus", "here", "told"), [(0.25, True, [0.25]), (1, True, []), (0, True, []), (0.25, False, [])]
)
def test_only_a_share_of_a_card_that_is_there_limits_memory(gpus, here, told, monkeypatch):
    found = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: here)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", found.append)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    bundle.prepare(1, gpus)
    assert found == told
