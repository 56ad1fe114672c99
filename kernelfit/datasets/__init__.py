"""Data sets: known ones by name, and the user's own files."""

from .dataset import Dataset, training_targets
from .loading import load
from .registry import REGISTRY
from .spec import Spec

__all__ = ["REGISTRY", "Dataset", "Spec", "load", "training_targets"]
