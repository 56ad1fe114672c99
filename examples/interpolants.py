"""Six functions with training error 0 and the same Hessian: norms and test errors are as different as can be."""

from kernelfit import Experiment
from kernelfit.report.study_figures import figure
from kernelfit.study.questions import Study, ask_interpolants

record = ask_interpolants(Study("interpolants", Experiment("digits", n_train=600)))
figure(record).savefig("interpolants.png", dpi=110, bbox_inches="tight")
