"""Section 5 of the paper, claim by claim: linear models and kernels that fit everything, and what implicit
regularisation and norms say of them. With the stability and Rademacher arguments of its Section 2.2.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.paper import find
from kernelfit.progress import Progress, as_progress
from kernelfit.report.tables import number
from kernelfit.study.questions import Study, ask_complexity, ask_interpolants, ask_sgd
from kernelfit.study.settings import Setting, run_setting

#: training and test rows of the parts that need all eigenvectors
SPECTRAL_ROWS = 1000
# What counts as 0 beside 1: rounding over some thousands of steps.
_ROUNDING = 1e-10
# How far from that of guessing the error of some hundred test rows may be.
_NEAR_CHANCE = 0.06


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, in short, the figure it gives (empty where it gives none), and ours.

    `holds` is None where a norm that it is about is not resolved.
    """

    claim: str
    paper: str
    ours: str
    holds: bool | None


def ask_section5(
    base: dict[str, Any], out: str | Path | None = None, command: str = "", progress: Progress | None = None
) -> dict[str, Any]:
    """Every claim with its number.

    `base` holds the arguments of `Experiment`: an image data set, its size, gamma. Gradient methods and complexities
    take its first `SPECTRAL_ROWS` rows. Rows that are stored in the folder `out` are not computed again.

    Raises as the studies.
    """
    whole = Experiment(**base)
    dataset = whole.inputs.load(as_progress(progress))
    few = {name: min(getattr(dataset, name), SPECTRAL_ROWS) for name in ("n_train", "n_test")}
    less = Experiment(**{**base, **few})
    descent = ask_sgd(Study("sgd", less, out, command, progress))
    theory = ask_complexity(Study("complexity", less, out, command, progress))
    others = ask_interpolants(Study("interpolants", whole, out, command, progress))
    norms = Study("norms", whole, out, command, progress)
    settings = {
        # Features have a width of their own: that of the pixels would make K of them a matrix of ones.
        name: norms.row(
            name, partial(run_setting, base, Setting(name, {"features": name, **width}), progress)
        )
        for name, width in (("none", {}), ("gabor", {"gamma": None}))
    }
    claims = [
        *_of_descent(descent),
        *_of_interpolants(others),
        *_of_norms(settings, others["dataset"]),
        *_of_theory(theory),
    ]
    return {
        "dataset": others["dataset"],
        "n_train": others["n_train"],
        "n_spectral": descent["n_train"],
        "kernel": others["kernel"],
        "claims": [asdict(claim) for claim in claims],
        "command": command,
    }


def _of_descent(record: dict[str, Any]) -> list[Claim]:
    paths = {(path["method"], path["start"]): path for path in record["rows"]}
    outside = max(max(path["outside"]) for (_, start), path in paths.items() if start == "0")
    conjugate, gradient = paths["conjugate gradients", "0"], paths["gradient descent", "0"]
    elsewhere = paths["conjugate gradients", "elsewhere"]
    return [
        Claim(
            "gradient methods from w = 0 stay in the span of the data",
            "",
            f"at most {outside:.1e} of w outside it, stochastic descent among them",
            outside < _ROUNDING,
        ),
        Claim(
            "their limit is the interpolant of least norm",
            "",
            f"conjugate gradients within {conjugate['to_least_norm'][-1]:.1e} of it after {conjugate['steps'][-1]:,} "
            f"steps; gradient descent within {gradient['to_least_norm'][-1]:.2g}, by the spectrum within 1e-6 after "
            f"{record['steps_by_the_spectrum']:,}",
            conjugate["to_least_norm"][-1] < 1e-6,
        ),
        Claim(
            "from elsewhere they go to the nearest interpolant instead",
            "",
            f"within {elsewhere['to_limit'][-1]:.1e} of the projection of the first w, "
            f"{elsewhere['to_least_norm'][-1]:.2g} from least norm",
            elsewhere["to_limit"][-1] < 1e-6 < elsewhere["to_least_norm"][-1],
        ),
    ]


def _of_interpolants(record: dict[str, Any]) -> list[Claim]:
    rows, hessian = record["rows"], record["hessian"]
    least, ratios = rows[0], [row["norm_ratio"] for row in rows[1:]]
    claims = [
        Claim(
            "there are other functions that fit every training label",
            "",
            "; ".join(
                f"{row['name']}: norm {number(row['norm_ratio'], 3)} x, test {row['test_error']:.2%}"
                for row in rows[1:]
            )
            + f"; least norm: test {least['test_error']:.2%}",
            None
            if None in ratios
            else all(row["train_error"] == 0 for row in rows) and all(ratio > 1 for ratio in ratios),
        )
    ]
    curvatures = [row["curvature"] for row in rows]
    claims.append(
        Claim(
            "all of them have the same flat Hessian: curvature does not tell which one generalises",
            "",
            f"curvature along one direction {min(curvatures):.10g} to {max(curvatures):.10g}; rank "
            f"{hessian['rank']:,} of {hessian['parameters']:,}",
            max(curvatures) - min(curvatures) < 1e-6 * max(curvatures),
        )
    )
    return claims


def _of_norms(settings: dict[str, dict[str, Any]], dataset: str) -> list[Claim]:
    if any("refused" in row for row in settings.values()):
        return []
    plain, gabor = settings["none"], settings["gabor"]
    rows = find(dataset, "none"), find(dataset, "gabor")
    paper = ""
    if rows[0] is not None and rows[1] is not None:
        paper = (
            f"norm {rows[0].rkhs_norm:g} -> {rows[1].rkhs_norm:g}, error {rows[0].test_error:.1%} -> "
            f"{rows[1].test_error:.1%}, n = {rows[0].n_train:,}"
        )
    return [
        Claim(
            "a smaller norm does not mean a smaller test error: wavelets raise one and lower the other",
            paper,
            f"norm {number(plain['rkhs_norm'])} -> {number(gabor['rkhs_norm'])}, error {plain['test_error']:.2%} -> "
            f"{gabor['test_error']:.2%}",
            None
            if None in (plain["rkhs_norm"], gabor["rkhs_norm"])
            else gabor["rkhs_norm"] > plain["rkhs_norm"] and gabor["test_error"] < plain["test_error"],
        )
    ]


def _of_theory(record: dict[str, Any]) -> list[Claim]:
    true, random = record["labellings"]
    chance = 1 - 1 / record["n_classes"]
    ridge = record["ridges"][-1]
    return [
        Claim(
            "the same kernel fits random labels exactly, and guesses at test rows",
            "",
            f"random labels: norm {random['rkhs_norm']:.4g} beside {true['rkhs_norm']:.4g}, test error "
            f"{random['test_error']:.1%}",
            abs(random["test_error"] - chance) < _NEAR_CHANCE,
        ),
        Claim(
            "Rademacher complexity of what fits random labels is trivial, and so are bounds by it",
            "",
            f"complexity {random['rademacher']:.3g} for a trivial 1; margin bounds {true['bound']:.3g} (true labels) "
            f"and {random['bound']:.3g} (random), error {true['binary_error']:.2%} and {random['binary_error']:.2%}",
            random["rademacher"] > 1 and min(true["bound"], random["bound"]) > 0.5,
        ),
        Claim(
            "uniform stability knows no labels: it cannot tell which labelling generalises",
            "",
            f"ridge {ridge['ridge']:g}: constant {ridge['stability_constant']:.3g} for both, test error "
            f"{ridge['test_error_true']:.2%} and {ridge['test_error_random']:.2%}",
            ridge["test_error_true"] < 0.5 * chance < ridge["test_error_random"],
        ),
    ]
