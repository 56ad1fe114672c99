"""The training engine: SGD with momentum on batches of a source, exactly resumable.

One engine for every model and device. R runs of one shape may train side by side (multilayer perceptrons, stacked
in one batched product); everything carries the leading dimension R, which is 1 for other models.

A run is a function of its recipe: the order of rows in an epoch and every random draw come from generators that
depend on (seed, epoch) alone, so that training resumed from a checkpoint repeats what it would have done, bit for
bit on the CPU with the same number of threads.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernelfit.deep.data.sources import Source, epoch_generator, steps_per_epoch
from kernelfit.deep.models.build import build, channels_last_fault, faults_named, hides_state
from kernelfit.deep.models.runs import decayed_parameters, side_by_side
from kernelfit.deep.own_network import in_one_line, is_own
from kernelfit.deep.recipe import Recipe, check_sources
from kernelfit.deep.training import checkpoint, optimizers
from kernelfit.deep.training.epoch_log import EpochLog
from kernelfit.deep.training.evaluate import evaluate, fresh_statistics
from kernelfit.deep.training.graph import GraphedStep
from kernelfit.deep.training.hardware import Hardware
from kernelfit.deep.training.memorisation import Memory
from kernelfit.deep.training.outcome import Outcome
from kernelfit.deep.training.results import settings
from kernelfit.deep.training.stopping import status_after
from kernelfit.deep.world import BatchNorm, World, share_batch_norm
from kernelfit.errors import DataError, InputError, StorageError
from kernelfit.progress import Advance, Progress, ProgressLike, as_progress
from kernelfit.runs.lock import FolderLock
from kernelfit.storage.folders import make_folder

WINDOW = 50  # steps averaged into one point of a loss curve
AUXILIARY_WEIGHT = 0.4  # of Inception V3's second head


def check_single_rows(
    recipe: Recipe, n: int, shape: tuple[int, int, int], n_classes: int, processes: int
) -> None:
    """Raise InputError where one of the batches of `n` images has one row, and a batch normalisation of the network one
    value a channel: at the end of an epoch torch would refuse it. Over several processes each gets a row, and they
    share statistics.
    """
    if (n % recipe.batch or recipe.batch) > 1 or processes > 1:
        return
    net = build(recipe.model, shape=shape, n_classes=n_classes, dropout=recipe.dropout).train()
    if not any(isinstance(layer, BatchNorm) for layer in net.modules()):
        return
    height, width, channels = shape
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            net(torch.zeros(1, channels, height, width))
    except ValueError as error:
        raise InputError(
            f"n: got {n} rows in batches of {recipe.batch}, of which one has a single row, and batch normalisation in "
            f"{recipe.model} needs two ({error}); change n or batch"
        ) from None


def check_step(recipe: Recipe, shape: tuple[int, int, int], n_classes: int) -> None:
    """Raise InputError, in one line, where a fresh network of the user's own cannot take a step of training on two
    images: without parameters that learn, with something else than logits while it trains, and so on.
    """
    if not is_own(recipe.model):
        return
    net = build(recipe.model, shape=shape, n_classes=n_classes, dropout=recipe.dropout, seed=recipe.seed)
    height, width, channels = shape
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            out = net(torch.randn(2, channels, height, width))
            parts = out if isinstance(out, tuple) else (out,)
            for logits in parts:
                shown = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
                if shown != (2, n_classes):
                    raise ValueError(f"it gives {shown} while it trains, expected (2, {n_classes})")
            optimizer = optimizers.make(recipe, net.parameters(), recipe.rates[0])
            labels = torch.zeros(2, dtype=torch.int64)
            sum(F.cross_entropy(logits.float(), labels) for logits in parts).backward()
            for parameter in decayed_parameters(net) if recipe.weight_decay else ():
                if parameter.grad is not None:
                    parameter.grad.add_(parameter.detach(), alpha=recipe.weight_decay)
            optimizer.step()
    except Exception as error:  # the network's own code may raise anything
        raise InputError(
            f"model: {recipe.model} cannot take a step of training on 2 images ({in_one_line(error)}); train what "
            "gives logits of floats for any number of images, differentiable in parameters of floats"
        ) from error


class Training:
    """R runs of one shape, from fresh weights or from FOLDER/checkpoint.pt.

    `recipes` agree in everything but seed, corruption, p and weight decay. `rate` is the rung of the ladder;
    `logs` has a folder per run for its log (default: `folder`, for a single run).
    """

    def __init__(
        self,
        recipes: Sequence[Recipe],
        source: Source,
        *,
        rate: float | None = None,
        folder: Path | None = None,
        logs: Sequence[Path] = (),
        hardware: Hardware | None = None,
        world: World | None = None,
        progress: ProgressLike = None,
    ) -> None:
        self.recipes = list(recipes)
        self.recipe = self.recipes[0]
        self.source = source
        self.rate = self.recipe.rates[0] if rate is None else rate
        self.folder = folder
        self.logs = list(logs) or ([folder] if folder is not None and len(recipes) == 1 else [])
        self.hardware = hardware or Hardware()
        self.world = world or World()
        self.progress: Progress = as_progress(progress)
        self.device = self.hardware.resolve()
        self.steps = steps_per_epoch(source.n, self.recipe.batch, self.world)
        if self.steps == 0:
            raise InputError(
                f"n: {source.n} rows make no batch for {self.world.size} processes; give more rows"
            )
        check_sources(self.recipes)
        check_step(self.recipe, source.shape, source.n_classes)
        check_single_rows(self.recipe, source.n, source.shape, source.n_classes, self.world.size)
        if folder is not None:
            self._note_hidden_state()
        self.members = [self._fresh(r).to(self.device) for r in self.recipes]
        self.model = side_by_side(self.members, self.recipe.model)
        coefficients = torch.tensor([r.weight_decay for r in self.recipes], device=self.device)
        self.decays = self.model.decayed(coefficients) if coefficients.any() else []
        self.optimizer = optimizers.make(
            self.recipe,
            self.model.parameters(),
            torch.tensor(self.rate, device=self.device) if self.hardware.graph else self.rate,
        )
        self.channels_last = not self.model.flat_inputs and self._takes_channels_last()
        self.runner = self._runner()
        self.memory = Memory.empty(len(self.recipes), source.n, self.device)
        self.history: list[list[dict[str, Any]]] = [[] for _ in self.recipes]
        self.status = "running"
        self.systems: list[dict[str, Any]] = []  # settings of the machine, one entry a stretch of training
        self.epoch = 0
        self.step = 0
        self.seconds = 0.0
        self.started = self.saved_at = time.monotonic()
        self.order = torch.zeros(len(self.recipes), source.n, dtype=torch.int64)
        self.losses = torch.zeros(len(self.recipes), self.steps, device=self.device)
        self.correct = torch.zeros(len(self.recipes), source.n, dtype=torch.int8, device=self.device)
        self.graphed: GraphedStep | None = None

    # Construction ---------------------------------------------------------------------------------------------

    def _fresh(self, recipe: Recipe) -> nn.Module:
        """The network of a recipe as its seed draws it."""
        source = self.source
        return build(
            recipe.model,
            shape=source.shape,
            n_classes=source.n_classes,
            dropout=recipe.dropout,
            seed=recipe.seed,
        )

    def _note_hidden_state(self) -> None:
        """Say so where a network of the user's own would not resume as it was stored."""
        model = self.recipe.model
        if is_own(model) and hides_state(
            self._fresh(self.recipe), self._fresh(self.recipe), self.source.shape
        ):
            self.progress.note(
                f"{model} has state that its state_dict lacks, or chance that is not torch's: a run of it that is "
                "resumed differs from one that is not"
            )

    def _takes_channels_last(self) -> bool:
        """Whether the network takes channels-last images: ours do, one of the user's own is tried."""
        if not is_own(self.recipe.model):
            return True
        fault = channels_last_fault(self._fresh(self.recipe), self.source.shape)
        if fault is not None:
            self.progress.note(
                f"{self.recipe.model} takes no channels-last images ({fault}) and is trained without them"
            )
        return fault is None

    def _runner(self) -> nn.Module:
        """The model as the step calls it: channels last, over all processes, compiled, as the hardware options say.

        Networks of flat inputs stay as they are: their products are the libraries' either way, and every size of a
        stack would be compiled anew while all other runs wait.
        """
        model = self.model
        if self.channels_last:
            model = model.to(memory_format=torch.channels_last)
        if self.world.size > 1:
            model = share_batch_norm(model, self.device.type)
            model = nn.parallel.DistributedDataParallel(model)
        if self.hardware.compile and not self.model.flat_inputs:
            model = torch.compile(model)
        return model

    # One step -------------------------------------------------------------------------------------------------

    def _train_step(self, x: Tensor, y: Tensor, rows: int | None = None) -> tuple[Tensor, Tensor]:
        """Descend on one batch of `rows` rows over all processes; this process's share of each run's mean loss
        (R,), and who was right (R, b).
        """
        rows = rows or self.recipe.batch
        # Inside a graph, gradients that are made anew lie in its own memory and need no clearing.
        self.optimizer.zero_grad(set_to_none=True)
        # A ragged last batch is not worth compiling the network for another shape.
        ragged = rows < self.recipe.batch and self.world.size == 1
        with self.hardware.autocast(self.device):
            out = (self.model if ragged else self.runner)(x)
        logits, auxiliary = out if isinstance(out, tuple) else (out, None)
        smoothing = self.recipe.label_smoothing
        loss = F.cross_entropy(
            logits.float().flatten(0, 1), y.flatten(), reduction="none", label_smoothing=smoothing
        ).view(y.shape)
        share = loss.sum(dim=1) / rows
        objective = share.sum()
        if auxiliary is not None:
            second = F.cross_entropy(
                auxiliary.float().flatten(0, 1), y.flatten(), reduction="sum", label_smoothing=smoothing
            )
            objective = objective + AUXILIARY_WEIGHT * second / rows
        # Gradients are averaged over processes, and each holds its share of the mean: hence the factor.
        (objective * self.world.size).backward()
        with torch.no_grad():
            for parameter, coefficient in self.decays:
                if parameter.grad is not None:
                    parameter.grad.addcmul_(parameter, coefficient)
        self.optimizer.step()
        return share.detach(), logits.detach().argmax(dim=-1) == y

    def _advance(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """One step, through the CUDA graph where that is on and the batch is full."""
        batch = self.recipe.batch
        rows = min(batch, self.source.n - self.step * batch)
        full = self.hardware.graph and rows == batch and self.world.size == 1
        if full and self.graphed is not None:
            return self.graphed(x, y)  # into inputs that are channels last already
        if self.channels_last:
            x = x[0].contiguous(memory_format=torch.channels_last)[None]
        if not full:
            return self._train_step(x, y, rows)
        self.graphed = GraphedStep(self._train_step, self.model, self.optimizer, x, y)
        return self.graphed(x, y)

    # Epochs ---------------------------------------------------------------------------------------------------

    def run(self) -> list[Outcome]:
        """Train to the end of the recipe and return how each run ended."""
        with self.hardware.session(self.device):
            for _ in self.steps_taken():
                pass
        return self.outcomes()

    def outcomes(self) -> list[Outcome]:
        """How each run ended, once training is over."""
        return [
            Outcome(
                recipe, self._status(history), self.rate, self.source.n_classes, history, self.systems, digest
            )
            for recipe, history, digest in zip(
                self.recipes, map(_until_diverged, self.history), self.source.data_digests, strict=True
            )
        ]

    def steps_taken(self) -> Generator[None, None, None]:
        """Train, pausing after every step, so that several trainings can take turns inside one `Hardware.session`.

        Closing the iterator saves a checkpoint, from which another one resumes.
        """
        locks = self._lock()
        try:
            yield from self._steps()
        finally:
            for lock in locks:
                lock.release(remove=True)

    def _lock(self) -> list[FolderLock]:
        """The folders of these runs are this process's alone; StorageError where another one trains in them."""
        if self.folder is None or not self.world.leads:
            return []
        locks: list[FolderLock] = []
        try:
            for folder in dict.fromkeys([self.folder, *self.logs]):
                make_folder(folder)
                locks.append(FolderLock(folder / "lock"))
        except StorageError:
            for lock in locks:
                lock.release(remove=True)
            raise
        return locks

    def _steps(self) -> Generator[None, None, None]:
        inside = self._resume()
        if self.status == "running":
            self._note_system()
        logs = self._open_logs()
        left = (self.recipe.epochs - self.epoch) * self.source.n * len(self.recipes)
        name = f"{self.recipe.model} x {len(self.recipes)}" if len(self.recipes) > 1 else self.recipe.key
        self.saved_at = time.monotonic()
        try:
            with self.progress.phase(name, max(left, 1), "images") as advance:
                while self.status == "running":
                    self.started = time.monotonic()
                    if not inside:
                        self._begin_epoch()
                    inside = False
                    yield from self._train_epoch(advance)
                    self._end_epoch(logs)
                    self._save(now=self.status != "running")
        except GeneratorExit:
            if self.world.size == 1:  # this process alone has its share of the losses
                self._save(now=True)
            raise
        finally:
            # Now and not when Python collects it: a graph takes the workspace of its stream along, in which the next
            # run of that stream is captured.
            self.graphed = None
            for log in logs:
                log.close()
        self.model.write_to(self.members)

    def _note_system(self) -> None:
        """Record how the machine is used from here on, and say where that rounds otherwise than before."""
        now = settings(self.hardware)
        before = self.systems[-1] if self.systems else now
        if now["precision"] != before["precision"]:
            self.progress.note(
                f"{self.recipe.key}: trained in {before['precision']} so far, from here in {now['precision']}; its "
                "result names both"
            )
        for name in ("threads", "processes"):
            earlier = before.get(name, now[name])  # which older checkpoints lack
            if now["device"] == "cpu" and now[name] != earlier:
                self.progress.note(
                    f"{self.recipe.key}: trained with {earlier} {name} so far, from here with {now[name]}, which "
                    "rounds otherwise: the last digits are not those of one call"
                )
        if not self.systems or now != before:
            self.systems.append(now)

    def _train_epoch(self, advance: Advance) -> Iterator[None]:
        """The batches from `step` on."""
        self._set_rate()
        self.model.train()
        for x, y, rows in self.source.batches(
            self.epoch, self.order, self.step, self.recipe.batch, self.world
        ):
            with faults_named(self.recipe.model, f"in epoch {self.epoch + 1}, step {self.step + 1}"):
                share, right = self._advance(x, y)
            self.losses[:, self.step] = share
            self.correct.scatter_(1, rows, right.to(torch.int8))
            self.step += 1
            advance(rows.numel() * self.world.size)
            if self.world.size == 1:  # processes would not stop at the same step
                self._save()
            yield

    def _begin_epoch(self) -> None:
        """Draw the order of rows and reseed: both functions of (seed, epoch)."""
        self.step = 0
        for r, recipe in enumerate(self.recipes):
            generator = epoch_generator(recipe.seed, self.epoch, "order")
            self.order[r] = torch.randperm(self.source.n, generator=generator)
        draws = epoch_generator(self.recipe.seed, self.epoch, f"dropout of process {self.world.rank}")
        torch.manual_seed(draws.initial_seed())
        self.losses.zero_()
        self.correct.zero_()

    def _rate(self) -> float:
        """The learning rate of the present epoch."""
        return self.rate * self.recipe.rate_decay ** (self.epoch // self.recipe.decay_every)

    def _set_rate(self) -> None:
        rate = self._rate()
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def _end_epoch(self, logs: list[EpochLog]) -> None:
        """Collect the epoch from all processes, decide whether to continue, evaluate, log."""
        losses = self.world.total(self.losses.clone()).cpu()
        self.memory.see(self.world.total(self.correct.clone()).bool(), self.epoch + 1)
        online = self.memory.right.double().mean(dim=1).tolist()
        learned = self.memory.summaries(self.source.labels != self.source.clean)
        rate = self._rate()
        self.epoch += 1
        self.step = 0
        for r, history in enumerate(self.history):
            history.append(
                {
                    "epoch": self.epoch,
                    "step": self.epoch * self.steps,
                    "rate": rate,
                    "loss": float((losses[r] * self._rows_per_step()).sum() / self.source.n),
                    "online_accuracy": online[r],
                    **learned[r],
                    **self._windows(losses[r]),
                }
            )
        records = [history[-1] for history in self.history]
        self.status = status_after(self.recipe, self.history, self.source.n_classes)
        if self._evaluates():
            for record, history, figures in zip(records, self.history, self._evaluate(), strict=True):
                record |= figures
                for name in ("accuracy", "top5"):
                    best = [old.get(f"best_test_{name}", 0.0) for old in history]
                    record[f"best_test_{name}"] = max([figures[f"test_{name}"], *best])
            fitted = all(record["train_accuracy"] == 1.0 for record in records)
            if self.recipe.stop_when_fitted and fitted:
                self.status = "fitted"
        self._count_seconds()
        for record in records:
            record["seconds"] = self.seconds
        for log, record in zip(logs, records, strict=False):
            log.write(record)

    def _evaluates(self) -> bool:
        """Whether this epoch is evaluated. One that fits all labels is, wherever it may end the run: how long a run is
        must not depend on how the machine is used.
        """
        if self.status != "running" or self.epoch % self.hardware.evaluate_every == 0:
            return True
        # Alone a run ends where it diverges, and is evaluated there.
        if any(
            _diverged(history[-1]) and len(_until_diverged(history)) == self.epoch for history in self.history
        ):
            return True
        if not self.recipe.stop_when_fitted:
            return False
        with fresh_statistics(self.model, self.source, self.hardware, self.device, self.world):
            measured = evaluate(self.model, self.source, "train", self.hardware, self.device, self.world)
        return all(share == 1.0 for share in measured["accuracy"])

    def _evaluate(self) -> list[dict[str, Any]]:
        figures: list[dict[str, Any]] = [{} for _ in self.recipes]
        when = f"as it was evaluated after epoch {self.epoch}"
        with (
            faults_named(self.recipe.model, when),
            fresh_statistics(self.model, self.source, self.hardware, self.device, self.world),
        ):
            for part in ("train", "test"):
                measured = evaluate(self.model, self.source, part, self.hardware, self.device, self.world)
                for name, values in measured.items():
                    for r, value in enumerate(values):
                        figures[r][f"{part}_{name}"] = value
        return figures

    def _rows_per_step(self) -> Tensor:
        """Rows of each batch of an epoch (steps,): the last one may be ragged."""
        starts = torch.arange(self.steps) * self.recipe.batch
        return (self.source.n - starts).clamp_max(self.recipe.batch)

    def _windows(self, losses: Tensor) -> dict[str, Any]:
        """Mean losses of windows of steps, each with the number of its last step."""
        before = (self.epoch - 1) * self.steps
        parts = losses.split(WINDOW)
        ends = [before + min((k + 1) * WINDOW, self.steps) for k in range(len(parts))]
        return {"window_steps": ends, "window_losses": [float(part.mean()) for part in parts]}

    def _status(self, history: list[dict[str, Any]]) -> str:
        """The end of one run among those trained together."""
        return "diverged" if _diverged(history[-1]) else self.status

    # Files ----------------------------------------------------------------------------------------------------

    def _open_logs(self) -> list[EpochLog]:
        if not self.world.leads:
            return []
        return [
            EpochLog(folder, history, tensorboard=self.hardware.tensorboard)
            for folder, history in zip(self.logs, self.history, strict=False)
        ]

    def _count_seconds(self) -> None:
        """Add the time since the last count: writing checkpoints does not count as training."""
        self.seconds += time.monotonic() - self.started
        self.started = time.monotonic()

    def _save(self, *, now: bool = False) -> None:
        """Write the checkpoint when it is due, or now."""
        if self.folder is None or not self.world.leads:
            return
        if not now and time.monotonic() - self.saved_at < self.hardware.checkpoint_seconds:
            return
        self._count_seconds()
        make_folder(self.folder)
        state = {
            "recipes": [r.to_json() for r in self.recipes],
            "digest": self.source.digest,
            "data_digests": self.source.data_digests,
            "rate": self.rate,
            "status": self.status,
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "labels": self.source.labels,
            "order": self.order,
            "losses": self.losses,
            "correct": self.correct,
            "memory": self.memory.state(),
            "history": self.history,
            "systems": self.systems,
            "generator": torch.get_rng_state(),
            "cuda_generator": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }
        checkpoint.save(state, self.folder / "checkpoint.pt")
        self.saved_at = self.started = time.monotonic()

    def _resume(self) -> bool:
        """Load the checkpoint where there is one; True when it stands inside an epoch (step > 0)."""
        path = self.folder / "checkpoint.pt" if self.folder is not None else None
        if path is None or not os.path.lexists(path):
            return False
        state = checkpoint.load(path, self.device)
        try:
            self._check_owner(state, path)
            self._restore(state)
        except (DataError, torch.cuda.OutOfMemoryError):
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError):
            raise checkpoint.CheckpointError(
                f"checkpoint: {path} does not fit {self.recipe.model} as it is now; use another folder, or delete it"
            ) from None
        self.progress.note(f"resumed {self.recipe.key} at epoch {self.epoch}, step {self.step}")
        return self.step > 0

    def _check_owner(self, state: dict[str, Any], path: Path) -> None:
        """Raise CheckpointError where the checkpoint is of another recipe, DataError where it is of other data."""
        expected = [r.to_json() for r in self.recipes]
        if state["recipes"] != expected or state["rate"] != self.rate:
            raise checkpoint.CheckpointError(
                f"checkpoint: {path} belongs to another recipe; use another folder"
            )
        same = torch.equal(state["labels"], self.source.labels) and state["digest"] == self.source.digest
        ours = self.source.data_digests
        if not same or state.get("data_digests", ours) != ours:  # which older checkpoints lack
            raise DataError(
                f"checkpoint: {path} was trained on other data than is loaded now; restore that data"
            )

    def _restore(self, state: dict[str, Any]) -> None:
        """Take weights, momentum, order and history from the checkpoint; ValueError where they do not fit together."""
        self.history = state["history"]
        self.systems = list(state.get("systems", []))  # which older checkpoints lack
        self.status, self.epoch, self.step = state["status"], state["epoch"], state["step"]
        if [len(history) for history in self.history] != [self.epoch] * len(self.recipes):
            raise ValueError("history")
        if not 0 <= self.step <= self.steps or state["order"].shape != self.order.shape:
            raise ValueError("step, order")
        self.model.load_state_dict(state["model"])
        self._load_momentum(state["optimizer"]["state"])
        self.order = state["order"].cpu()
        self.losses.copy_(state["losses"])
        self.correct.copy_(state["correct"])
        if not self.world.leads:  # an epoch that one process began: at its end they are summed over all
            self.losses.zero_()
            self.correct.zero_()
        self.memory.restore(state["memory"])
        self.seconds = float(state["seconds"])
        torch.set_rng_state(state["generator"].cpu())
        if state["cuda_generator"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_generator"].cpu(), self.device)

    def _load_momentum(self, saved: dict[int, Any]) -> None:
        """Momentum alone: how this process holds the rate (a graph reads it from its tensor) and steps is its own
        affair. Fused steps need momentum in the order in memory that the weights have here.
        """
        own = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": saved, "param_groups": own})
        for parameter, state in self.optimizer.state.items():
            for name, value in state.items():
                state[name] = torch.empty_like(parameter).copy_(value)


def _diverged(record: dict[str, Any]) -> bool:
    """Whether an epoch ended with a loss that is no number."""
    return not math.isfinite(record["loss"])


def _until_diverged(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The epochs of a run up to the first that diverged: those beside it may go on, alone it would have ended there."""
    ends = (epoch for epoch, record in enumerate(history, 1) if _diverged(record))
    return history[: next(ends, len(history))]
