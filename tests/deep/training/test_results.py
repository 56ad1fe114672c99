"""Stored results: whole ones are read, others refused with the right remedy."""

import json

import pytest

pytest.importorskip("torch")

from kernelfit.deep.recipe import default
from kernelfit.deep.training import results, sweep
from kernelfit.deep.training.hardware import Hardware
from kernelfit.errors import DataError, StorageError


@pytest.fixture
def stored(tmp_path):
    """A recipe and its result.json."""
    recipe = default("mlp-1x512", dataset="digits", side=8, n=20, n_test=10, epochs=1)
    sweep.train([recipe], tmp_path, hardware=Hardware(device="cpu"))
    return recipe, tmp_path / recipe.key / "result.json"


def test_a_result_without_a_field_that_tables_read_is_refused(stored, tmp_path):
    recipe, path = stored
    whole = path.read_text()
    assert results.finished(recipe, tmp_path) == json.loads(whole)
    for name in ("epochs", "converged_step", "window_losses", "corrupted_forgotten", "history"):
        path.write_text(whole.replace(f'"{name}"', f'"x{name}"'))
        with pytest.raises(DataError, match="is not a result of this program; delete it to run again"):
            results.finished(recipe, tmp_path)


def test_what_cannot_be_read_is_not_to_be_deleted(stored, tmp_path):
    recipe, path = stored
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match=r"result\.json: cannot read: Is a directory"):
        results.finished(recipe, tmp_path)
    (path.parent / "analysis.json").mkdir()
    with pytest.raises(StorageError, match=r"analysis\.json: cannot read"):
        results.analyses_so_far(recipe, tmp_path)


def test_the_epochs_so_far_end_where_a_line_is_damaged(stored, tmp_path):
    recipe, path = stored
    log = next(path.parent.rglob("log.jsonl"))
    line = log.read_text()
    log.write_text(line + line.replace('"step"', '"stop"') + line)
    assert len(results.history_so_far(recipe, tmp_path)) == 1
