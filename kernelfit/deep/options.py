"""The values that options with a fixed set of words take, each set declared once. No torch here."""

from __future__ import annotations

from typing import Literal, get_args

ModelName = Literal["inception", "inception-no-bn", "alexnet", "mlp-3x512", "mlp-1x512", "inception-v3"]
Optimizer = Literal["sgd", "rmsprop"]
Precision = Literal["auto", "float32", "tf32", "bf16"]
Target = Literal["table1", "table2", "table4", "fig1", "fig2"]

MODELS: tuple[ModelName, ...] = get_args(ModelName)
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
TARGETS: tuple[Target, ...] = get_args(Target)
