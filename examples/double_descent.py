"""Random features: test error and norm explode where their number reaches n, and fall to the kernel's past it."""

from kernelfit import Experiment
from kernelfit.report.study_figures import figure
from kernelfit.study.questions import Study, ask_double_descent

record = ask_double_descent(Study("double-descent", Experiment("digits", n_train=200)), seeds=range(3))
figure(record).savefig("double_descent.png", dpi=110, bbox_inches="tight")
