"""Data sets: known ones by name, and the user's own files."""

from .dataset import Dataset
from .loading import load
from .registry import REGISTRY, Spec

__all__ = ["REGISTRY", "Dataset", "Spec", "load"]
