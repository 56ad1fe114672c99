"""Where a problem is factored: tier, device and run folder, planned before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kernelfit.cluster.connect import Cluster, connect
from kernelfit.cpu.memory import free_disk
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.choose import open_devices
from kernelfit.device.pinned import release as release_pinned
from kernelfit.device.protocol import Device
from kernelfit.errors import InputError
from kernelfit.gram import placement
from kernelfit.gram.costs import Costs
from kernelfit.gram.layout import ONE_TILE
from kernelfit.gram.placement import Limits
from kernelfit.gram.plan import Plan
from kernelfit.kernels.base import COORDINATES
from kernelfit.progress import Notes
from kernelfit.runs.folder import Run, open_run_folder, reserved
from kernelfit.solver.cluster_system import ClusterSystem, place_on_cluster, require_supported
from kernelfit.solver.cpu_system import CpuSystem
from kernelfit.solver.device_plan import close_all, plan_on_device
from kernelfit.solver.device_system import DeviceSystem
from kernelfit.solver.iterative_system import IterativeSystem, decided, place_iterations
from kernelfit.solver.method import CHOLESKY
from kernelfit.solver.problem import Problem
from kernelfit.solver.problem_record import record_of
from kernelfit.solver.resources import Resources
from kernelfit.solver.sketch_system import SketchSystem, place_blocks
from kernelfit.solver.system import System
from kernelfit.solver.tile_system import TileSystem, is_one_tile

# What a system in memory writes to.
_NOWHERE = Path()


def place(
    problem: Problem,
    resources: Resources,
    backend: CpuBackend,
    notes: Notes,
    run_dir: Path | None = None,
    resume: bool = False,
) -> System:
    """A system that is not factored yet, on the devices or the tier that fit, its run open where one is wanted.

    Raises `PlanError` with the bytes that are missing, `DeviceError` and `StorageError`.
    """
    if problem.method.iterates:
        release_pinned()
        place_it = place_blocks if problem.method.solver == "askotch" else place_iterations
        system = place_it(problem, resources, backend, notes)
        if run_dir is not None:
            record = record_of(problem, system.plan, notes.lines)
            system.run = open_run_folder(run_dir, record, resume, notes.progress)
        return system
    if resources.engine.is_cluster:
        problem = _with_factor(problem, "the workers of a cluster make", notes)
        return _on_cluster(problem, resources, backend, notes, run_dir, resume)
    device = resources.device
    if isinstance(device, str) and device == "auto" and problem.source.device is not None:
        device = problem.source.device
        notes.add(f"device auto: {device.name}, where the Gram matrix lies")
    devices = open_devices(device, problem.n, notes.add, resources.device_memory)
    if devices:
        if resources.tier != "auto":
            notes.add(f"tier {resources.tier}: ignored on a device, whose plan says where tiles live")
        problem = _with_factor(problem, "a device makes", notes)
        return _on_device(problem, devices, resources, backend, notes, run_dir, resume)
    release_pinned()
    if resources.device_memory is not None:
        notes.add("device_memory: ignored, as the work is done on the CPU")
    if problem.method.solver == "auto":
        problem = decided(problem, resources, backend, notes)
        return place(problem, replace(resources, device="cpu"), backend, notes, run_dir, resume)
    return _on_cpu(problem, resources, backend, notes, run_dir, resume)


def _with_factor(problem: Problem, makes: str, notes: Notes) -> Problem:
    """With solver "auto" made "cholesky", where there is nothing to choose."""
    if problem.method.solver != "auto":
        return problem
    if problem.method.tolerance is not None:
        notes.add(f"tolerance: ignored, as {makes} a factor, which meets all targets")
    return replace(problem, method=CHOLESKY)


def place_again(
    run: Run, problem: Problem, devices: Sequence[Device], backend: CpuBackend, notes: Notes
) -> System:
    """The system of an open run that is resumed: on `devices` where there are any, whatever it was begun on.

    The run and the devices are closed where this fails.
    """
    if problem.method.iterates:
        system = SketchSystem if problem.method.solver == "askotch" else IterativeSystem
        return system(problem, run.plan, backend, run)
    if not devices:
        return CpuSystem(problem, run.plan, backend, run.folder, run)
    try:
        plans = plan_on_device(
            problem, devices, threads=backend.threads, folder=run.folder, width=run.plan.panel_width
        )
        return DeviceSystem(problem, plans, devices, backend, run.folder, run, notes.add)
    except BaseException:
        run.close()
        close_all(devices, problem.source)
        raise


def place_again_on_cluster(
    run: Run, problem: Problem, resources: Resources, backend: CpuBackend, notes: Notes
) -> ClusterSystem:
    """The system of an open run that is resumed on the cluster of `resources`, whatever it was begun on.

    The run and the cluster are closed where this fails.
    """
    try:
        cluster = _connected(resources, backend, notes)
        try:
            return place_on_cluster(problem, resources, cluster, notes, backend, lambda plan: run, run.folder)
        except BaseException:
            cluster.close()
            raise
    except BaseException:
        run.close()
        raise


def _on_cluster(
    problem: Problem,
    resources: Resources,
    backend: CpuBackend,
    notes: Notes,
    run_dir: Path | None,
    resume: bool,
) -> ClusterSystem:
    """The cluster, and the run, are closed where this fails."""
    require_supported(problem.precision, resources.device)
    resources.engine.require_device(resources.device)
    if resources.device_memory is not None and resources.device == "cpu":
        raise InputError(
            f"device_memory: got {resources.device_memory:,} for the CPUs of workers, which have none; give device cuda"
        )
    if resources.memory is not None and resources.engine.scheduler is not None:
        notes.add("memory: ignored, as the workers of a cluster that runs have limits of their own")

    def begin(plan: Plan) -> Run | None:
        if run_dir is None:
            return None
        return open_run_folder(run_dir, record_of(problem, plan, notes.lines), resume, notes.progress)

    cluster = _connected(resources, backend, notes)
    try:
        return place_on_cluster(problem, resources, cluster, notes, backend, begin, run_dir)
    except BaseException:
        cluster.close()
        raise


def _connected(resources: Resources, backend: CpuBackend, notes: Notes) -> Cluster:
    return connect(
        resources.engine,
        backend.threads,
        resources.memory_limit,
        resources.folder,
        notes.add,
        on_gpus=resources.device == "cuda",
    )


def _on_cpu(
    problem: Problem,
    resources: Resources,
    backend: CpuBackend,
    notes: Notes,
    run_dir: Path | None,
    resume: bool,
) -> CpuSystem:
    source, numbers = problem.source, problem.numbers
    if numbers.tensor_cores:
        raise InputError(
            f"precision: got {problem.precision} on the CPU, which has no such products; take mixed, or a device"
        )
    n, layout, points, kernel = source.n, source.layout, source.points, source.kernel
    width = resources.panel_width if layout is None else layout.width

    def free() -> int:
        folder = run_dir or resources.folder
        return free_disk(folder) + reserved(folder)

    costs = Costs.of(
        n=n,
        d=0 if points is None else points.width,
        n_rhs=problem.targets.shape[1],
        threads=1 if n <= min(ONE_TILE, width or ONE_TILE) else backend.threads,
        precision=problem.precision,
        bytes_points=0 if points is None else points.nbytes,
        panel_width=width,
    )
    plan = placement.place(
        costs,
        Limits(resources.memory_limit, free),
        tier=resources.tier,
        stored=run_dir is not None,
        cacheable_products=numbers.refined
        and points is not None
        and points.single_product
        and kernel is not None
        and not kernel.needs & COORDINATES,
    )
    run = None
    if run_dir is not None:
        run = open_run_folder(run_dir, record_of(problem, plan, notes.lines), resume, notes.progress)
    elif is_one_tile(problem, plan):
        return TileSystem(problem, plan, backend, _NOWHERE)
    return CpuSystem(problem, plan, backend, run_dir or resources.folder, run)


def _on_device(
    problem: Problem,
    devices: Sequence[Device],
    resources: Resources,
    backend: CpuBackend,
    notes: Notes,
    run_dir: Path | None,
    resume: bool,
) -> DeviceSystem:
    """The devices, and the run, are closed where this fails."""
    run, folder = None, run_dir or resources.folder
    try:
        plans = plan_on_device(
            problem,
            devices,
            threads=backend.threads,
            memory=resources.memory,
            folder=folder,
            width=resources.panel_width,
        )
        if run_dir is not None:
            record = record_of(problem, plans[0], notes.lines)
            run = open_run_folder(run_dir, record, resume, notes.progress)
        return DeviceSystem(problem, plans, devices, backend, folder, run, notes.add)
    except BaseException:
        if run is not None:
            run.close()
        close_all(devices, problem.source)
        raise
