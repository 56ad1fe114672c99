"""Results as a sweep would leave them, without training."""

import pytest

from kernelfit.datasets.corruptions import expected_test_error


@pytest.fixture
def fake_results():
    """Makes results that carry their recipe's seed and corruption, for arithmetic on them."""
    return _fake_results


def _fake_results(recipes, n_classes=10):
    """Results that carry their recipe's seed and corruption, for arithmetic on them."""
    results = {}
    for recipe in recipes:
        history = [
            {
                "epoch": k,
                "step": 10 * k,
                "window_steps": [10 * k],
                "window_losses": [1 / k],
                "train_accuracy": 0.9,
                "online_accuracy": 0.9,
                "test_accuracy": 0.1 * k,
                "best_test_accuracy": 0.1 * k,
                "clean_accuracy": 0.5,
                "corrupted_accuracy": 0.25,
                "clean_first_learned": 1.0,
                "corrupted_first_learned": 2.0,
                "clean_forgotten": 0.0,
                "corrupted_forgotten": 0.0,
            }
            for k in (1, 2, 3)
        ]
        level = recipe.p if recipe.corruption == "corrupt-labels" else float(recipe.corruption != "true")
        results[recipe.key] = {
            "status": "finished",
            "rate": recipe.rates[0],
            "seconds": 1.0,
            "train_accuracy": 0.9 + 0.02 * recipe.seed,
            "online_accuracy": 0.8,
            "train_top5": 0.95,
            "test_top5": 0.6,
            "best_test_accuracy": 0.5,
            "best_test_top5": 0.7,
            "system": {"precision": "float32"},
            "test_accuracy": 0.5 - 0.4 * level,
            "corrupted_test_error": expected_test_error(0.5 + 0.4 * level, level, n_classes)
            if level
            else None,
            "converged_step": None if level == 1.0 else 100 * (1 + level),
            "history": history,
        }
    return results
