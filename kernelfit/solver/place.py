"""Where a problem is factored: tier, device and run folder, planned before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kernelfit.cluster.connect import Cluster, connect
from kernelfit.device.choose import open_devices
from kernelfit.device.pinned import release as release_pinned
from kernelfit.device.plan import DevicePlan
from kernelfit.device.protocol import Device
from kernelfit.errors import DeviceError, InputError, PlanError
from kernelfit.gram import placement
from kernelfit.gram.costs import Costs
from kernelfit.gram.layout import ONE_TILE
from kernelfit.gram.placement import Limits
from kernelfit.gram.plan import Plan
from kernelfit.gram.precision import precision_of
from kernelfit.kernels.base import COORDINATES
from kernelfit.progress import Notes
from kernelfit.runs.folder import RUN, Run, free_for_factor
from kernelfit.solver.cluster_system import ClusterSystem, place_on_cluster, require_supported
from kernelfit.solver.context import Context
from kernelfit.solver.cpu_system import CpuSystem
from kernelfit.solver.device_plan import close_all, plan_on_device
from kernelfit.solver.device_system import DeviceSystem
from kernelfit.solver.iterative_system import IterativeSystem
from kernelfit.solver.method import CHOLESKY
from kernelfit.solver.place_iterations import decided, place_iterations
from kernelfit.solver.problem import Problem
from kernelfit.solver.problem_record import fallen_back
from kernelfit.solver.resources import memory_here, remark_scratch
from kernelfit.solver.sketch_system import SketchSystem, place_blocks
from kernelfit.solver.system import System
from kernelfit.solver.tile_system import TileSystem, is_one_tile
from kernelfit.storage.folders import scratch_folder


def place(problem: Problem, context: Context) -> System:
    """A system that is not factored yet, on the devices or the tier that fit, its run open where one is wanted.

    Raises `PlanError` with the bytes that are missing, `DeviceError` and `StorageError`.
    """
    resources, notes = context.resources, context.notes
    if problem.method.iterates:
        release_pinned()
        place_it = place_blocks if problem.method.solver == "askotch" else place_iterations
        system = place_it(problem, context)
        remark_scratch(resources, "an iteration stores none", notes)
        system.run = context.open_run(problem, system.plan)
        return system
    precision: str = problem.precision
    earlier = None
    if context.resume and context.run_dir is not None and problem.numbers.refined:
        earlier = fallen_back(context.run_dir / RUN)
    if earlier is not None:
        precision, resources = earlier.precision, replace(resources, panel_width=earlier.panel_width)
        context = replace(context, resources=resources)
        notes.add(f"{problem.precision} precision fell back to {precision} in the run that is resumed")
    if resources.engine.is_cluster:
        problem = _with_factor(problem, "the workers of a cluster make", notes)
        return _on_cluster(problem, context, precision)
    device = resources.device
    if isinstance(device, str) and device == "auto" and problem.source.device is not None:
        device = problem.source.device
        notes.add(f"device auto: {device.name}, where the Gram matrix lies")
    devices = open_devices(device, problem.n, notes.add, resources.device_memory)
    plans = _device_plans(problem, devices, context, precision)
    if plans is not None:
        if resources.tier != "auto":
            notes.add(f"tier {resources.tier}: ignored on a device, whose plan says where tiles live")
        problem = _with_factor(problem, "a device makes", notes)
        return _on_device(problem, plans, devices, context)
    release_pinned()
    if resources.device_memory is not None:
        notes.add("device_memory: ignored, as the work is done on the CPU")
    if problem.method.solver == "auto":
        problem = decided(problem, context)
        if problem.method.iterates:
            here = replace(resources, device="cpu", device_memory=None)
            return place(problem, replace(context, resources=here))
    return _on_cpu(problem, context, precision)


def _with_factor(problem: Problem, makes: str, notes: Notes) -> Problem:
    """With solver "auto" made "cholesky", where there is nothing to choose."""
    if problem.method.solver != "auto":
        return problem
    if problem.method.tolerance is not None:
        notes.add(f"tolerance: ignored, as {makes} a factor, which meets all targets")
    return replace(problem, method=CHOLESKY)


def place_again(run: Run, problem: Problem, devices: Sequence[Device], context: Context) -> System:
    """The system of an open run that is resumed: on `devices` where there are any, whatever it was begun on.

    The run and the devices are closed where this fails.
    """
    if not devices:
        _remark_memory(run.plan, context.notes)
    if problem.method.iterates:
        system = SketchSystem if problem.method.solver == "askotch" else IterativeSystem
        return system(problem, run.plan, context.backend, run)
    precision: str = problem.precision
    if problem.numbers.refined and not precision_of(run.plan.precision).refined:
        precision = run.plan.precision  # to which it fell back
    try:
        plans = _device_plans(problem, devices, context, precision)
        if plans is None:
            return CpuSystem(problem, run.plan, context.backend, run.folder, run)
        return DeviceSystem(problem, plans, devices, context.backend, run.folder, run, context.notes.add)
    except BaseException:
        run.close()
        close_all(devices, problem.source)
        raise


def _remark_memory(plan: Plan, notes: Notes) -> None:
    """Say so where a run that is resumed was planned with more memory than is here; its plan is part of what it is."""
    memory = memory_here(plan)
    if plan.tier not in ("device", "cluster") and plan.bytes_memory > memory:
        notes.progress.note(
            f"memory: the run was planned with {plan.bytes_memory:,} bytes, here are {memory:,}; should it be ended "
            "for want of them, resume it where there are more"
        )


def place_again_on_cluster(run: Run, problem: Problem, context: Context) -> ClusterSystem:
    """The system of an open run that is resumed on a cluster, whatever it was begun on.

    The run and the cluster are closed where this fails.
    """
    try:
        cluster = _connected(context)
        try:
            # That of the plan asks no tensor cores of workers: it is what a run of them is without.
            return place_on_cluster(problem, cluster, context, run.plan.precision, run)
        except BaseException:
            cluster.close()
            raise
    except BaseException:
        run.close()
        raise


def _on_cluster(problem: Problem, context: Context, precision: str) -> ClusterSystem:
    """The cluster, and the run, are closed where this fails."""
    resources = context.resources
    require_supported(precision, resources.device)
    resources.engine.require_device(resources.device)
    if resources.device_memory is not None and resources.device == "cpu":
        raise InputError(
            f"device_memory: got {resources.device_memory:,} for the CPUs of workers, which have none; give device cuda"
        )
    if resources.memory is not None and resources.engine.scheduler is not None:
        context.notes.add("memory: ignored, as the workers of a cluster that runs have limits of their own")
    cluster = _connected(context)
    try:
        return place_on_cluster(problem, cluster, context, precision)
    except BaseException:
        cluster.close()
        raise


def _connected(context: Context) -> Cluster:
    resources, note = context.resources, context.notes.add
    return connect(
        resources.engine,
        context.backend.threads,
        resources.memory_limit,
        scratch_folder(resources.scratch, note),
        note,
        on_gpus=resources.device == "cuda",
    )


def _on_cpu(problem: Problem, context: Context, precision: str) -> CpuSystem:
    resources, backend, notes, run_dir = context.resources, context.backend, context.notes, context.run_dir
    source, numbers = problem.source, precision_of(precision)
    if numbers.tensor_cores:
        raise InputError(
            f"precision: got {precision} on the CPU, which has no such products; take mixed, or a device"
        )
    n, layout, points, kernel = source.n, source.layout, source.points, source.kernel
    width = resources.panel_width if layout is None else layout.width

    costs = Costs.of(
        n=n,
        d=0 if points is None else points.width,
        n_rhs=problem.targets.shape[1],
        threads=1 if n <= min(ONE_TILE, width or ONE_TILE) else backend.threads,
        precision=precision,
        bytes_points=0 if points is None else points.nbytes,
        panel_width=width,
    )
    plan = placement.place(
        costs,
        Limits(resources.memory_limit, lambda: free_for_factor(run_dir, resources.scratch)),
        tier=resources.tier,
        stored=run_dir is not None,
        cacheable_products=numbers.refined
        and points is not None
        and points.single_product
        and kernel is not None
        and not kernel.needs & COORDINATES,
    )
    if run_dir is not None:
        remark_scratch(resources, "those of a run are in its folder", notes)
    elif plan.tier == "ram":
        remark_scratch(resources, "the factor is in memory", notes)
        if is_one_tile(problem, plan):
            return TileSystem(problem, plan, backend, None)
    run = context.open_run(problem, plan)
    on_disk = run is None and plan.tier == "disk"
    folder = scratch_folder(resources.scratch, notes.add) if on_disk else resources.scratch
    return CpuSystem(problem, plan, backend, folder, run)


def _device_plans(
    problem: Problem,
    devices: Sequence[Device],
    context: Context,
    precision: str,
) -> tuple[Plan, DevicePlan] | None:
    """The plans of a solve on devices; None where there are none, or where `auto` opened one that cannot do it.

    The devices are closed where there are no plans.
    """
    if not devices:
        return None
    resources = context.resources
    try:
        return plan_on_device(
            problem,
            devices,
            threads=context.backend.threads,
            folder=context.folder,
            precision=precision,
            memory=resources.memory,
            width=resources.panel_width,
        )
    except BaseException as error:
        close_all(devices, problem.source)
        automatic = isinstance(resources.device, str) and resources.device == "auto"
        if not (automatic and isinstance(error, DeviceError | InputError | PlanError)):
            raise
        context.notes.add(f"device auto: cpu, as {devices[0].name} cannot do it ({error})")
        return None


def _on_device(
    problem: Problem,
    plans: tuple[Plan, DevicePlan],
    devices: Sequence[Device],
    context: Context,
) -> DeviceSystem:
    """The devices, and the run, are closed where this fails."""
    run = None
    try:
        run = context.open_run(problem, plans[0])
        return DeviceSystem(problem, plans, devices, context.backend, context.folder, run, context.notes.add)
    except BaseException:
        if run is not None:
            run.close()
        close_all(devices, problem.source)
        raise
