"""Which examples a network has learned, when, and which it forgot, at no extra cost.

Each example is seen once an epoch while training; whether the network had it right at that moment is recorded
(Toneva et al., "An empirical study of example forgetting during deep neural network learning", 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Memory:
    """Per run and example (R, n): right now, first epoch it was right (-1: never), times right turned wrong."""

    right: Tensor
    first_learned: Tensor
    forgotten: Tensor

    @classmethod
    def empty(cls, runs: int, n: int, device: torch.device) -> Memory:
        """Nothing learned."""
        return cls(
            right=torch.zeros(runs, n, dtype=torch.bool, device=device),
            first_learned=torch.full((runs, n), -1, dtype=torch.int32, device=device),
            forgotten=torch.zeros(runs, n, dtype=torch.int32, device=device),
        )

    def see(self, correct: Tensor, epoch: int) -> None:
        """Record an epoch: `correct` (R, n) bool, each example as it was when the epoch came to it."""
        self.forgotten += (self.right & ~correct).to(torch.int32)
        self.first_learned[correct & (self.first_learned < 0)] = epoch
        self.right.copy_(correct)

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"right": self.right, "first_learned": self.first_learned, "forgotten": self.forgotten}

    def restore(self, state: dict[str, Tensor]) -> None:
        """From a checkpoint."""
        self.right.copy_(state["right"])
        self.first_learned.copy_(state["first_learned"])
        self.forgotten.copy_(state["forgotten"])

    def summaries(self, corrupted: Tensor) -> list[dict[str, float | None]]:
        """Means over the clean and the corrupted examples of each run apart; `corrupted` (R, n) bool.

        accuracy (share right when last seen), first-learned epoch (of those ever learned), forgetting events.
        None where a subset is empty.
        """
        subsets = torch.stack([~corrupted, corrupted])  # (2, R, n)
        learned = subsets & (self.first_learned >= 0)
        counts = torch.stack(
            [
                subsets.sum(-1),
                (subsets & self.right).sum(-1),
                (subsets * self.forgotten).sum(-1),
                learned.sum(-1),
                (learned * self.first_learned).sum(-1),
            ]
        )
        records: list[dict[str, float | None]] = [{} for _ in range(len(corrupted))]
        # One look for all runs: every question to a device waits for it, and meanwhile no run moves.
        for name, numbers in zip(("clean", "corrupted"), counts.transpose(0, 1).tolist(), strict=True):
            for record, rows, right, forgotten, ever, epochs in zip(records, *numbers, strict=True):
                record[f"{name}_accuracy"] = right / rows if rows else None
                record[f"{name}_first_learned"] = epochs / ever if ever else None
                record[f"{name}_forgotten"] = forgotten / rows if rows else None
        return records
