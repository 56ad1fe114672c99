"""The wider the kernel, the closer K is to a matrix of ones: condition grows, the backward error stays at rounding."""

import numpy as np
from matplotlib.figure import Figure

import kernelfit

digits = kernelfit.datasets.load("digits", n_train=400, n_test=1)
targets = np.eye(10)[digits.y_train]
gammas = np.geomspace(2e-4, 10, 16)
certificates = [
    kernelfit.solve(digits.X_train, targets, gamma=gamma, scale=digits.scale).certificate for gamma in gammas
]

figure = Figure(figsize=(7, 4), layout="constrained")
axes = figure.subplots()
axes.loglog(gammas, [each.condition_estimate for each in certificates], "o-", label="condition")
axes.loglog(
    gammas, [each.forward_error for each in certificates], "s-", label="error of alpha, at most about"
)
axes.loglog(gammas, [each.backward_error for each in certificates], "^-", label="backward error")
axes.axhline(2**-53, color="k", linestyle=":", linewidth=1, label="unit roundoff")
axes.set(xlabel="gamma", title="400 digits: what a certificate says")
axes.legend(loc=(0.02, 0.56))
figure.savefig("certificate.png", dpi=110)
