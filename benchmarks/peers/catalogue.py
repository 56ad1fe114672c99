"""The libraries that kernelfit is compared with: what installs them, and why some are not here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """`name` is one of `models.MODELS`; peers of one `environment` share it, and `requirements` install it.

    `exact` says whether the system is solved to rounding. `missing` is the reason why there is nothing to install; a
    checkout given by path, installed after the requirements, may stand in for that. Beyond `largest` rows it is left
    out, for the reason `beyond`.
    """

    name: str
    about: str
    environment: str = ""
    requirements: tuple[str, ...] = ()
    exact: bool = True
    missing: str = ""
    largest: int | None = None
    beyond: str = ""

    @property
    def ours(self) -> bool:
        return self.name.startswith("kernelfit")


PEERS = (
    Peer("kernelfit", "kernelfit.solve, a float64 factor"),
    Peer("kernelfit-mixed", "kernelfit.solve, a float32 factor refined to float64's backward error"),
    Peer("scikit-learn", "KernelRidge", "scikit-learn", ("scikit-learn",)),
    Peer("scikit-learn-gp", "GaussianProcessRegressor", "scikit-learn", ("scikit-learn",)),
    Peer(
        "scikit-learn-nystroem", "Nystroem, 2,000 components", "scikit-learn", ("scikit-learn",), exact=False
    ),
    Peer("scipy", "cho_factor and cho_solve", "scipy", ("scipy",)),
    Peer("torch", "linalg.cholesky", "torch", ("torch", "numpy")),
    Peer("gpytorch", "its Cholesky", "gpytorch", ("gpytorch", "torch")),
    Peer(
        "gpytorch-cg",
        "its conjugate gradients",
        "gpytorch",
        ("gpytorch", "torch"),
        exact=False,
        largest=5_000,
        beyond="0.37 s at n = 500, and each of more and more iterations takes n^2",
    ),
    Peer(
        "himalaya",
        "KernelRidge, by eigenvalues",
        "himalaya",
        ("himalaya", "packaging"),
        largest=5_000,
        beyond="the eigenvalues of K take some ten times n^3: 88.9 s at n = 10,000, measured once",
    ),
    Peer("jax", "cho_factor, compiled", "jax", ("jax",)),
    Peer(
        "keops",
        "conjugate gradients, K never formed",
        "keops",
        ("pykeops",),
        exact=False,
        largest=500,
        beyond="7.7 s at n = 500 with 784 features, as every product forms K anew",
    ),
    Peer(
        "eigenpro",
        "EigenPro, 20 epochs in float32",
        "eigenpro",
        ("torch", "numpy"),
        exact=False,
        missing="in no package index; --checkout eigenpro=PATH installs EigenPro-pytorch",
    ),
    Peer(
        "falkon",
        "Falkon, 2,000 centres",
        "falkon",
        ("torch", "numpy"),
        exact=False,
        missing="in no package index for the CPU; --checkout falkon=PATH compiles it against torch",
    ),
    Peer(
        "askotch",
        "ASkotch, 10 epochs",
        "askotch",
        ("torch", "numpy", "pykeops"),
        exact=False,
        missing="in no package index; --checkout askotch=PATH installs fast_krr",
    ),
    Peer("torchkm", "TorchKM", missing="support vectors, DWD, logistic: no squared loss"),
    Peer("neural-tangents", "neural-tangents", missing="kernels of networks alone, no gaussian one"),
    Peer("cuml", "cuML", missing="needs a CUDA device"),
    Peer("cupy", "CuPy", missing="needs a CUDA device"),
    Peer("jaxmg", "JAXMg", missing="needs CUDA devices"),
)


def chosen(names: str) -> tuple[Peer, ...]:
    """The peers that are named, separated by commas, in the catalogue's order; all without a name.

    Raises `ValueError` with one line where one is unknown.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = {peer.name for peer in PEERS}
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise ValueError(f"--peers: got {', '.join(unknown)}, expected some of {', '.join(sorted(known))}")
    return tuple(peer for peer in PEERS if not wanted or peer.name in wanted)
