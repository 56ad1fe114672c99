"""A smaller norm is no smaller test error: kernels and feature maps on the digits."""

from kernelfit import Experiment
from kernelfit.report.study_figures import figure
from kernelfit.study.questions import Study, ask_norms

study = Study("norms", Experiment("digits", n_train=500))
record = ask_norms(
    study, kernels=("gaussian", "laplacian", "matern"), features=("none", "gabor"), ridges=(0.0, 0.1)
)
figure(record).savefig("norm_and_error.png", dpi=110, bbox_inches="tight")
