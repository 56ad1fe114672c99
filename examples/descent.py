"""Gradient methods go to the interpolant that is nearest to where they began; dots are what the spectrum predicts."""

from kernelfit import Experiment
from kernelfit.report.study_figures import figure
from kernelfit.study.questions import Study, ask_sgd

record = ask_sgd(Study("sgd", Experiment("digits", n_train=200, n_test=100)), steps=500, passes=30)
figure(record).savefig("descent.png", dpi=110, bbox_inches="tight")
