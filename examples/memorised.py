"""Training images that the others get wrong, and test images that are right by one training image alone."""

from matplotlib.figure import Figure

from kernelfit import Experiment
from kernelfit.study.complexity import Spectral, memorisation
from kernelfit.study.labelled import kernel_rows

with Experiment("digits").solved() as solved:
    rows = kernel_rows(solved)
memory = memorisation(Spectral(rows))
images = rows.every.values.reshape(-1, 8, 8)

figure = Figure(figsize=(8, 4), layout="constrained")
upper, lower = figure.subfigures(2, 1)
upper.suptitle("memorised: label (what the others say)")
for axes, i, says in zip(upper.subplots(1, 8), memory.memorised, memory.predicted, strict=False):
    axes.imshow(images[i], cmap="gray_r")
    axes.set_title(f"{rows.y_train[i]} ({says})")
    axes.axis("off")
lower.suptitle("test images, each beside the training image that it hangs on")
grid = lower.subplots(1, 8)
for axes in grid:
    axes.axis("off")
for pair, (i, j) in enumerate(memory.hanging[:4]):
    grid[2 * pair].imshow(images[rows.n + j], cmap="gray_r")
    grid[2 * pair].set_title(f"test: {rows.y_test[j]}")
    grid[2 * pair + 1].imshow(images[i], cmap="gray_r")
    grid[2 * pair + 1].set_title(f"train: {rows.y_train[i]}")
figure.savefig("memorised.png", dpi=110)
