"""Twelve points and the interpolant of least norm for three widths of the Gaussian kernel."""

import numpy as np
from matplotlib.figure import Figure

import kernelfit

x = np.linspace(-1, 1, 12)[:, None]
y = np.sign(x[:, 0]) * np.abs(x[:, 0]) ** 0.5
grid = np.linspace(-1.2, 1.2, 500)[:, None]

figure = Figure(figsize=(7, 4), layout="constrained")
axes = figure.subplots()
for gamma in (3.0, 30.0, 300.0):
    solution = kernelfit.solve(x, y, gamma=gamma)
    axes.plot(grid, solution.predict(grid), label=f"gamma = {gamma:g}, norm {solution.rkhs_norm:.3g}")
axes.plot(x, y, "ko", label="training points")
axes.set(xlabel="x", ylabel="f(x)", ylim=(-1.6, 1.6), title="Interpolants of least norm")
axes.legend(loc=(0.15, 0.68))
figure.savefig("widths.png", dpi=110)
