"""Test error and norm against the number of training rows, and where a power law leads."""

from kernelfit import Experiment
from kernelfit.report.study_figures import figure
from kernelfit.study.questions import Study, ask_curve

record = ask_curve(Study("curve", Experiment("digits")), seeds=range(5))
figure(record).savefig("learning_curve.png", dpi=110, bbox_inches="tight")
