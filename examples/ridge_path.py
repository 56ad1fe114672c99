"""A fifth of the labels is wrong: closed-form leave-one-out has its minimum where the test error is low."""

import numpy as np
from matplotlib.figure import Figure

from kernelfit import Experiment

ridges = np.geomspace(1e-4, 30, 14)
records = [
    Experiment("digits", n_train=600, corruption="corrupt-labels", corruption_p=0.2, ridge=ridge, loo=True)
    .run()
    .record
    for ridge in ridges
]

figure = Figure(figsize=(7, 4), layout="constrained")
axes = figure.subplots()
shown = {
    "loo_error": "leave-one-out (labels as given)",
    "test_error": "test (clean labels)",
    "train_error": "training",
}
for key, label in shown.items():
    axes.semilogx(ridges, [100 * record[key] for record in records], "o-", label=label)
axes.set(xlabel="ridge", ylabel="error, %", title="A fifth of the labels drawn at random")
axes.legend()
figure.savefig("ridge_path.png", dpi=110)
