"""One function a library: it fits the same system and gives back how it predicts. Runs without kernelfit.

(K + ridge I) alpha = Y for K_ij = exp(-gamma |x_i - x_j|^2). Each imports its library when it is called, since every
library has an environment of its own; the call that fits is timed, the import is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Problem:
    """Pixels `rows` (n, d) in bytes, targets (n, c)."""

    rows: Any
    Y: Any
    scale: float
    gamma: float
    ridge: float

    @cached_property
    def X(self) -> Any:
        """The rows in float64 times `scale`, for libraries that do not take bytes."""
        return np.multiply(self.rows, self.scale, dtype=np.float64)

    @property
    def holds_floats(self) -> bool:
        return "X" in vars(self)


@dataclass(frozen=True)
class Fitted:
    """`predict` takes a `Problem` of new rows; alpha (n, c) where the library shows it."""

    predict: Callable[[Problem], Any]
    alpha: Any = None


Fit = Callable[[Problem], Fitted]


def kernelfit(precision: str, **options: Any) -> Fit:
    from kernelfit import solve

    def fit(problem: Problem) -> Fitted:
        solution = solve(
            problem.rows,
            problem.Y,
            gamma=problem.gamma,
            ridge=problem.ridge,
            scale=problem.scale,
            precision=precision,
            **options,
        )
        return Fitted(lambda new: solution.predict(new.rows), solution.alpha)

    return fit


def scikit_learn() -> Fit:
    from sklearn.kernel_ridge import KernelRidge

    def fit(problem: Problem) -> Fitted:
        model = KernelRidge(alpha=problem.ridge, kernel="rbf", gamma=problem.gamma)
        model.fit(problem.X, problem.Y)
        return Fitted(lambda new: model.predict(new.X), model.dual_coef_)

    return fit


def scikit_learn_gp() -> Fit:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF

    def fit(problem: Problem) -> Fitted:
        kernel = RBF((2 * problem.gamma) ** -0.5, "fixed")
        model = GaussianProcessRegressor(kernel, alpha=problem.ridge, optimizer=None, copy_X_train=False)
        model.fit(problem.X, problem.Y)
        return Fitted(lambda new: model.predict(new.X), model.alpha_)

    return fit


def scikit_learn_nystroem(components: int) -> Fit:
    """Least squares on the Nystroem features of `components` random rows."""
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge

    def fit(problem: Problem) -> Fitted:
        count = min(components, len(problem.X))
        features = Nystroem(gamma=problem.gamma, n_components=count, random_state=0).fit(problem.X)
        model = Ridge(alpha=max(problem.ridge, 1e-6), fit_intercept=False)
        model.fit(features.transform(problem.X), problem.Y)
        return Fitted(lambda new: model.predict(features.transform(new.X)))

    return fit


def scipy() -> Fit:
    from scipy.linalg import cho_factor, cho_solve
    from scipy.spatial.distance import cdist

    def gram(a: Any, b: Any, gamma: float) -> Any:
        block = cdist(a, b, "sqeuclidean") if len(a) * len(b) < 10_000 else _squares(a, b)
        block *= -gamma
        return np.exp(block, out=block)

    def fit(problem: Problem) -> Fitted:
        block = gram(problem.X, problem.X, problem.gamma)
        np.fill_diagonal(block, 1.0 + problem.ridge)
        alpha = cho_solve(cho_factor(block, lower=True, overwrite_a=True, check_finite=False), problem.Y)
        return Fitted(lambda new: gram(new.X, problem.X, problem.gamma) @ alpha, alpha)

    return fit


def _squares(a: Any, b: Any) -> Any:
    """|a - b|^2 of all pairs of rows by one matrix product, clamped at 0."""
    block = a @ b.T
    block *= -2.0
    block += np.einsum("ij,ij->i", a, a)[:, None]
    block += np.einsum("ij,ij->i", b, b)
    return np.maximum(block, 0.0, out=block)


def torch() -> Fit:
    import torch

    def gram(a: Any, b: Any, gamma: float) -> Any:
        block = torch.addmm((b * b).sum(1), a, b.T, alpha=-2.0).add_((a * a).sum(1)[:, None])
        return block.clamp_(min=0.0).mul_(-gamma).exp_()

    def fit(problem: Problem) -> Fitted:
        X, Y = torch.from_numpy(problem.X), torch.from_numpy(problem.Y)
        block = gram(X, X, problem.gamma)
        block.diagonal().fill_(1.0 + problem.ridge)
        alpha = torch.cholesky_solve(Y, torch.linalg.cholesky(block))
        return Fitted(
            lambda new: (gram(torch.from_numpy(new.X), X, problem.gamma) @ alpha).numpy(), alpha.numpy()
        )

    return fit


def gpytorch(conjugate_gradients: bool) -> Fit:
    """Its kernel and its solve of a linear operator: by its Cholesky, or by preconditioned conjugate gradients."""
    import torch
    from gpytorch import settings
    from gpytorch.kernels import RBFKernel

    def fit(problem: Problem) -> Fitted:
        X, Y = torch.from_numpy(problem.X), torch.from_numpy(problem.Y)
        kernel = RBFKernel().double()
        kernel.lengthscale = (2 * problem.gamma) ** -0.5
        # An operator of K + ridge I; it decides by its order, unless told, how it solves.
        chosen = settings.max_cholesky_size(1 if conjugate_gradients else 10**9)
        precise = settings.cg_tolerance(1e-6), settings.max_cg_iterations(2_000)
        with torch.no_grad(), chosen, precise[0], precise[1], settings.cholesky_jitter(double_value=0.0):
            operator = kernel(X).add_diagonal(torch.tensor(problem.ridge, dtype=torch.float64))
            alpha = operator.solve(Y)

        def predict(new: Problem) -> Any:
            with torch.no_grad():
                return (kernel(torch.from_numpy(new.X), X) @ alpha).numpy()

        return Fitted(predict, alpha.numpy())

    return fit


def himalaya() -> Fit:
    from himalaya.kernel_ridge import KernelRidge

    def fit(problem: Problem) -> Fitted:
        model = KernelRidge(alpha=problem.ridge, kernel="rbf", kernel_params={"gamma": problem.gamma})
        model.fit(problem.X, problem.Y)
        return Fitted(lambda new: model.predict(new.X), model.dual_coef_)

    return fit


def jax() -> Fit:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from jax.scipy.linalg import cho_factor, cho_solve

    @jax.jit
    def gram(a: Any, b: Any, gamma: float) -> Any:
        block = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2.0 * a @ b.T
        return jnp.exp(-gamma * jnp.maximum(block, 0.0))

    @jax.jit
    def solved(X: Any, Y: Any, gamma: float, ridge: float) -> Any:
        block = jnp.fill_diagonal(gram(X, X, gamma), 1.0 + ridge, inplace=False)
        return cho_solve(cho_factor(block, lower=True), Y)

    def fit(problem: Problem) -> Fitted:
        X = jnp.asarray(problem.X)
        alpha = solved(X, jnp.asarray(problem.Y), problem.gamma, problem.ridge).block_until_ready()
        return Fitted(
            lambda new: np.asarray(gram(jnp.asarray(new.X), X, problem.gamma) @ alpha), np.asarray(alpha)
        )

    return fit


def keops() -> Fit:
    """Conjugate gradients on products with K that are formed on the fly."""
    from pykeops.numpy import Vi, Vj
    from pykeops.numpy.lazytensor.LazyTensor import LazyTensor  # noqa: F401  its backend is compiled on import

    def gram(a: Any, b: Any, gamma: float) -> Any:
        return (-gamma * ((Vi(a) - Vj(b)) ** 2).sum(-1)).exp()

    def fit(problem: Problem) -> Fitted:
        X = np.ascontiguousarray(problem.X)
        alpha = gram(X, X, problem.gamma).solve(
            Vi(np.ascontiguousarray(problem.Y)), alpha=max(problem.ridge, 1e-12), eps=1e-6
        )
        return Fitted(lambda new: gram(np.ascontiguousarray(new.X), X, problem.gamma) @ alpha, alpha)

    return fit


def eigenpro(epochs: int) -> Fit:
    """Its preconditioned stochastic gradient descent in float32, over all rows `epochs` times."""
    import torch
    from eigenpro2.kernels import gaussian
    from eigenpro2.models import KernelModel

    def fit(problem: Problem) -> Fitted:
        X = torch.from_numpy(problem.X.astype(np.float32))
        Y = torch.from_numpy(problem.Y.astype(np.float32))
        bandwidth = (2 * problem.gamma) ** -0.5
        model = KernelModel(lambda a, b: gaussian(a, b, bandwidth), X, Y.shape[1], device="cpu")
        # Its own choice, a third of its sample of rows, takes LOBPCG minutes.
        model.fit(X, Y, epochs=epochs, mem_gb=8, top_q=min(100, max(6, len(X) // 20)), run_epoch_eval=False)
        return Fitted(
            lambda new: model.forward(torch.from_numpy(new.X.astype(np.float32))).numpy(),
            model.weight.numpy(),
        )

    return fit


def falkon(centres: int) -> Fit:
    """Least squares on the kernel's functions at `centres` rows, by preconditioned conjugate gradients."""
    import falkon
    import torch

    def fit(problem: Problem) -> Fitted:
        X, Y = torch.from_numpy(problem.X), torch.from_numpy(problem.Y)
        model = falkon.Falkon(
            kernel=falkon.kernels.GaussianKernel(sigma=(2 * problem.gamma) ** -0.5),
            penalty=max(problem.ridge / len(X), 1e-10),
            M=min(centres, len(X)),
            options=falkon.FalkonOptions(use_cpu=True, keops_active="no"),
            seed=0,
        )
        model.fit(X, Y)
        return Fitted(lambda new: model.predict(torch.from_numpy(new.X)).numpy())

    return fit


def askotch(epochs: int) -> Fit:
    """Its published code, ASkotchV2, with the blocks and ranks that it recommends; one target after the other."""
    import torch
    from fast_krr.models import FullKRR
    from fast_krr.opts import ASkotchV2

    torch.set_default_dtype(torch.float64)

    def fit(problem: Problem) -> Fitted:
        X, n = torch.from_numpy(problem.X), len(problem.X)
        parameters = {"type": "rbf", "sigma": (2 * problem.gamma) ** -0.5}
        # It divides by the ridge.
        ridge, size = problem.ridge or 1e-6 * n, max(min(n, 50), n // 100)
        preconditioner = {"type": "nystrom", "r": min(100, size), "rho": "damped"}
        columns, weights = torch.from_numpy(problem.Y), []
        for column in columns.T:
            model = FullKRR(
                X, column, None, None, parameters, False, ridge, "regression", torch.zeros(n), "cpu"
            )
            optimiser = ASkotchV2(model=model, block_sz=size, precond_params=preconditioner)
            for _ in range(epochs * n // size):
                optimiser.step()
            weights.append(model.w)
        alpha = torch.stack(weights, dim=1)

        def predict(new: Problem) -> Any:
            rows = torch.from_numpy(new.X)
            squares = (X * X).sum(1)
            parts = []
            for part in rows.split(2_000):
                block = torch.addmm(squares, part, X.T, alpha=-2.0).add_((part * part).sum(1)[:, None])
                parts.append(block.clamp_(min=0.0).mul_(-problem.gamma).exp_() @ alpha)
            return torch.cat(parts).numpy()

        return Fitted(predict, alpha.numpy())

    return fit


#: name -> a setting to the function that fits: a tolerance, epochs, centres; `fit.py` takes name@setting
SETTINGS: dict[str, Callable[[float], Fit]] = {
    "kernelfit-pcg": lambda tolerance: kernelfit("float64", solver="pcg", tolerance=tolerance),
    "kernelfit-askotch": lambda tolerance: kernelfit("float64", solver="askotch", tolerance=tolerance),
    "eigenpro": lambda epochs: eigenpro(int(epochs)),
    "falkon": lambda centres: falkon(int(centres)),
    "askotch": lambda epochs: askotch(int(epochs)),
}
#: name -> what imports the library and gives the function that fits
MODELS: dict[str, Callable[[], Fit]] = {
    "kernelfit": lambda: kernelfit("float64"),
    "kernelfit-mixed": lambda: kernelfit("mixed"),
    "scikit-learn": scikit_learn,
    "scikit-learn-gp": scikit_learn_gp,
    "scikit-learn-nystroem": lambda: scikit_learn_nystroem(2_000),
    "scipy": scipy,
    "torch": torch,
    "gpytorch": lambda: gpytorch(False),
    "gpytorch-cg": lambda: gpytorch(True),
    "himalaya": himalaya,
    "jax": jax,
    "keops": keops,
    "eigenpro": lambda: eigenpro(20),
    "falkon": lambda: falkon(2_000),
    "askotch": lambda: askotch(10),
}


def model(name: str) -> Fit:
    """Of a name in `MODELS`, or of name@setting."""
    method, _, setting = name.partition("@")
    return SETTINGS[method](float(setting)) if setting else MODELS[method]()
