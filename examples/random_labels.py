"""Labels lose their meaning: the same factor fits them all, the norm grows, the test error goes to guessing."""

from kernelfit import Experiment
from kernelfit.report import labels
from kernelfit.study.asked import ask_labels

record = ask_labels(Experiment("digits", n_train=800), seeds=range(5), loo=True)
labels.figure(record["summary"], record["n_classes"]).savefig("random_labels.png", dpi=110)
