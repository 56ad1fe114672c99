"""scikit-learn estimators on top of `kernelfit.solve`: a regressor and a classifier that interpolate.

They follow scikit-learn's conventions (`fit`, `predict`, `score`, `get_params`, attributes that end in `_`) and so
work in `Pipeline`, `GridSearchCV` and `cross_val_score`.
"""

from kernelfit.estimators.classifier import KernelClassifier
from kernelfit.estimators.interpolator import KernelInterpolator

__all__ = ["KernelClassifier", "KernelInterpolator"]
