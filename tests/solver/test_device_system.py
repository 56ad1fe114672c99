"""kernelfit.solve on a device, on the stand-in, against the same solve on the CPU."""

from __future__ import annotations

import math
import shutil
from functools import partial

import numpy as np
import pytest

import kernelfit
from kernelfit.device.choose import open_device
from kernelfit.device.gram import row_bytes
from kernelfit.device.host import HostDevice
from kernelfit.device.plan import DeviceLimits, DeviceSize, make_device_plan
from kernelfit.device.residency import min_slots
from kernelfit.errors import DeviceError, InputError, Interrupted, NotPositiveDefiniteError, PlanError
from kernelfit.kernels import Gaussian, Laplacian, Linear, Matern, Pairwise
from kernelfit.progress import Silent
from kernelfit.runs.folder import JOURNAL, SOLUTION, Run
from kernelfit.runs.interruption import Interruption
from kernelfit.storage import journal


def problem(rng, n=150, d=9, c=3, data="floats"):
    if data == "bytes":
        X = rng.integers(0, 256, (n, d)).astype(np.uint8)
        return X, rng.integers(0, 256, (20, d)).astype(np.uint8), rng.standard_normal((n, c)), 1 / 255
    return rng.standard_normal((n, d)), rng.standard_normal((20, d)), rng.standard_normal((n, c)), None


def distance(x, y):
    total = 0.0
    for k in range(x.shape[0]):
        total += abs(x[k] - y[k])
    return math.exp(-0.3 * total)  # Numba CUDA has no `np.exp`


@pytest.mark.parametrize("data", ["bytes", "floats"])
@pytest.mark.parametrize(
    "kernel",
    [
        Gaussian(gamma=0.4),
        Matern(nu=0.5),
        Laplacian(gamma=0.3),
        Gaussian(gamma=0.4) + Linear(),
        Pairwise(distance),
        Laplacian(gamma=0.3) * Gaussian(gamma=0.4) + Pairwise(distance),
    ],
    ids=repr,
)
def test_a_device_gives_the_solution_of_the_cpu(rng, make_device, tolerance, kernel, data):
    X, X_test, Y, scale = problem(rng, data=data)
    mine = kernelfit.solve(X, Y, kernel=kernel, scale=scale, device="cpu", ridge=1e-3)
    theirs = kernelfit.solve(
        X, Y, kernel=kernel, scale=scale, device=make_device(16_000_000), ridge=1e-3, panel_width=32
    )
    assert mine.device == "cpu"
    assert theirs.device in ("host", "cuda:0")
    assert theirs.plan.tier == "device"
    assert theirs.certificate.backward_error <= tolerance(np.float64, 150)
    negative = kernel == Gaussian(gamma=0.4) + Linear() and data == "floats"
    assert (theirs.certificate.componentwise_backward_error is None) == negative
    if not negative:
        assert theirs.certificate.componentwise_backward_error <= 1e-12
        # Part of the bound is the residual, which is rounding and not the same on a device.
        assert theirs.certificate.rkhs_norm_error == pytest.approx(mine.certificate.rkhs_norm_error, rel=0.1)
    for name in ("norm", "log_det", "rkhs_norm", "condition_estimate", "min_pivot"):
        expected = getattr(mine.certificate, name)
        assert getattr(theirs.certificate, name) == pytest.approx(expected, rel=1e-6), name
    assert np.allclose(theirs.predict(X_test), mine.predict(X_test), rtol=1e-7, atol=1e-7)
    assert np.allclose(theirs.leave_one_out(), mine.leave_one_out(), rtol=1e-6, atol=1e-6)
    more = rng.standard_normal((150, 7))  # more columns than were planned
    assert np.allclose(theirs.solve(more).alpha, mine.solve(more).alpha, rtol=1e-6, atol=1e-6)
    floats = X_test / 3.0  # rows that are no bytes, where the training rows are
    assert np.allclose(theirs.predict(floats), mine.predict(floats), rtol=1e-7, atol=1e-7)
    theirs.close()


def test_leave_one_out_with_jitter_is_that_of_the_cpu(rng, make_device):
    X, _, Y, scale = problem(rng, data="floats")
    mine, theirs = (
        kernelfit.solve(X, Y, gamma=0.5, scale=scale, jitter=1e-2, device=device)
        for device in ("cpu", make_device(16_000_000))
    )
    assert np.allclose(theirs.leave_one_out(), mine.leave_one_out(), rtol=1e-9, atol=1e-9)


def test_a_solution_whose_device_another_one_closed_still_predicts(rng, make_device):
    X, X_test, Y, scale = problem(rng, data="floats")
    first = kernelfit.solve(X, Y, gamma=0.5, scale=scale, device=make_device(16_000_000))
    second = first.solve(2 * Y)
    before = second.predict(X_test)
    first.close()
    assert np.allclose(second.predict(X_test), before, rtol=1e-9, atol=1e-9)


def roomy_plan(device, n, d, columns, width, precision, row_bytes):
    """The plan of a device on which everything fits."""
    kind = np.float64 if precision == "float64" else np.float32
    return make_device_plan(
        DeviceSize(n, d, row_bytes, columns, precision),
        DeviceLimits(2**40),
        width=width,
        work=lambda order: device.potrf_workspace(order, kind),
    )


def small_capacity(device, n, d, columns, width, spare_tiles, precision, row_bytes) -> int:
    """Bytes for two panels in the making and `spare_tiles` more, on such a device."""
    roomy = roomy_plan(device, n, d, columns, width, precision, row_bytes)
    return roomy.bytes_fixed + (min_slots(-(-n // width)) + 8 + spare_tiles) * roomy.bytes_tile


THREE_STRIPS = Laplacian(gamma=0.3) * Gaussian(gamma=0.4) + Pairwise(distance)


@pytest.mark.parametrize(
    ("precision", "iterations", "kernel", "memory"),
    [
        *(("float64", 0, Gaussian(gamma=0.5), memory) for memory in (2_000_000_000, 1)),
        *(
            (name, 2, Gaussian(gamma=0.5), memory)
            for name in ("mixed", "tf32")
            for memory in (2_000_000_000, 1)
        ),
        ("float64", 0, THREE_STRIPS, 1),
    ],
)
def test_a_small_device_spills_and_gives_the_same_answer(
    rng, make_device, tolerance, tmp_path, monkeypatch, precision, iterations, kernel, memory
):
    n, width = 209, 16
    monkeypatch.setattr("kernelfit.device.plan._PRODUCTS", 8 * width * 64)
    X, X_test, Y, scale = problem(rng, n, data="bytes" if kernel is THREE_STRIPS else "floats")
    options = {"kernel": kernel, "scale": scale, "ridge": 0.1, "panel_width": width}
    expected = kernelfit.solve(X, Y, device="cpu", **options)
    points = expected.problem.points
    rows = row_bytes(points, kernel, points.exact)
    capacity = small_capacity(make_device(1_000_000), n, 9, 7, width, 5, precision, rows)
    solution = kernelfit.solve(
        X, Y, device=make_device(capacity), precision=precision, memory=memory, scratch=tmp_path, **options
    )
    certificate = solution.certificate
    assert certificate.backward_error <= tolerance(np.float64, n)
    assert certificate.refinements >= iterations
    assert certificate.factor_precision == ("float64" if precision == "float64" else "float32")
    assert solution.traffic["device_out"] > 0
    assert (solution.traffic["factor_written"] > 0) == (memory == 1)
    assert np.allclose(solution.alpha, expected.alpha, rtol=1e-8, atol=1e-8)
    for test in (X_test, X_test / 3.0):
        assert np.allclose(solution.predict(test), expected.predict(test), rtol=1e-8, atol=1e-8)
    # diag(A^-1) is that of the factor, in its precision.
    bound = 1e-8 if precision == "float64" else 1e-3
    assert np.allclose(solution.leave_one_out(), expected.leave_one_out(), rtol=bound, atol=bound)
    solution.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", ["bytes", "floats"])
def test_rows_of_every_sort_are_predicted_on_a_full_device(rng, make_device, monkeypatch, data):
    """Float rows beside bytes want rows and strips of their own, of every value that the kernel has of a pair."""
    n, width, d = 209, 64, 3
    monkeypatch.setattr("kernelfit.device.plan._PRODUCTS", 8 * width * n)
    kernel = Laplacian(gamma=0.3) * Gaussian(gamma=0.4) * Linear() + Pairwise(distance)
    X, X_test, Y, scale = problem(rng, n, d, data=data)
    options = {"kernel": kernel, "scale": scale, "ridge": 0.1, "panel_width": width}
    mine = kernelfit.solve(X, Y, device="cpu", **options)
    rows = row_bytes(mine.problem.points, kernel, data == "bytes")
    device = make_device(roomy_plan(make_device(1_000_000), n, d, 7, width, "float64", rows).bytes_device)
    theirs = kernelfit.solve(X, Y, device=device, **options)
    many = np.repeat(X_test, 8, axis=0)  # more than there is room for at a time
    for test in (many, many / 3.0):
        assert np.allclose(theirs.predict(test), mine.predict(test), rtol=1e-8, atol=1e-8)
    theirs.close()


def test_a_run_is_kept_and_taken_up_again_on_a_device_and_on_the_cpu(rng, make_device, monkeypatch, tmp_path):
    X, _, Y, _ = problem(rng, 200)
    given = {"kernel": "gaussian", "gamma": 0.5, "ridge": 0.1, "panel_width": 32}
    whole = kernelfit.solve(X, Y, device=make_device(16_000_000), run_dir=tmp_path / "a", **given)
    whole.close()
    opened = kernelfit.open(tmp_path / "a")
    assert np.allclose(opened.solve(Y).alpha, whole.alpha, rtol=1e-9, atol=1e-9)
    opened.close()
    for path in (tmp_path / "b", tmp_path / "c"):
        device, panels = make_device(16_000_000), []

        def stop_after_five(*arguments, potrf=device.potrf, panels=panels):
            panels.append(arguments)
            if len(panels) > 5:
                raise DeviceError("device: lost")
            potrf(*arguments)

        monkeypatch.setattr(device, "potrf", stop_after_five)
        with pytest.raises(DeviceError, match="lost"):
            kernelfit.solve(X, Y, device=device, run_dir=path, **given)
        assert not np.any(device._memory)
    again = kernelfit.solve(
        X, Y, device=make_device(16_000_000), run_dir=tmp_path / "b", resume=True, **given
    )
    assert np.array_equal(again.alpha, whole.alpha)
    for name in ("d", "e"):
        shutil.copytree(tmp_path / "c", tmp_path / name)
    progress = Silent()
    resumed = kernelfit.resume(tmp_path / "d", device=make_device(16_000_000), progress=progress)
    assert resumed.device == device.name
    assert np.array_equal(resumed.alpha, whole.alpha)
    assert not any("resumed on the CPU" in note for note in progress.notes)
    resumed.close()
    progress = Silent()
    on_cpu = kernelfit.resume(tmp_path / "c", device="cpu", progress=progress)
    assert any("begun on a device, resumed on the CPU" in note for note in progress.notes)
    assert np.allclose(on_cpu.alpha, whole.alpha, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("precision", ["mixed", "tf32"])
def test_what_cannot_be_refined_falls_back_and_says_so(rng, make_device, precision):
    """Too ill-conditioned for float32 itself: the mode allows TF32, and a library need not use it for small tiles."""
    X, _, Y, _ = problem(rng, 120, d=2)
    solution = kernelfit.solve(
        X,
        Y,
        kernel="gaussian",
        gamma=0.5,
        ridge=1e-9,
        device=make_device(16_000_000),
        precision=precision,
        panel_width=32,
    )
    assert any(f"{precision} precision fell back to float64" in note for note in solution.notes)
    assert solution.certificate.backward_error <= 1e-13


def test_a_run_that_fell_back_goes_on_in_float64(rng, make_device, monkeypatch, tmp_path):
    X, _, Y, _ = problem(rng, 120, d=2)
    given = {"kernel": "gaussian", "gamma": 0.5, "ridge": 1e-9, "precision": "mixed", "panel_width": 32}
    whole = kernelfit.solve(X, Y, device="cpu", run_dir=tmp_path / "run", **given)
    assert whole.certificate.factor_precision == "float64"
    (tmp_path / "run" / SOLUTION).unlink()
    monkeypatch.setattr(Run, "restart", None)  # every panel is there
    for name, device in (("resumed", make_device(16_000_000)), ("a", "cpu"), ("b", make_device(16_000_000))):
        folder = tmp_path / name
        shutil.copytree(tmp_path / "run", folder)
        if name == "resumed":
            again = kernelfit.resume(folder, device=device)
        else:
            other = given | {"panel_width": 40}  # the panels are those of the run
            again = kernelfit.solve(X, Y, device=device, run_dir=folder, resume=True, **other)
        assert any("mixed precision fell back to float64" in note for note in again.notes)
        assert again.certificate.factor_precision == "float64"
        assert again.certificate.backward_error <= 1e-13
        assert np.array_equal(again.alpha, whole.alpha) or device != "cpu"
        again.close()


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("last", [1, 3])
def test_a_run_that_stopped_after_a_panel_has_it(rng, make_device, monkeypatch, tmp_path, devices, last):
    X, _, Y, _ = problem(rng, 100)

    def stop(interruption, done, of):
        assert of == 4
        if done == last + 1:
            raise Interrupted("stopped", exit_code=1)

    monkeypatch.setattr(Interruption, "after", stop)
    opened = [make_device(16_000_000) for _ in range(devices)]
    with pytest.raises(Interrupted, match="stopped"):
        kernelfit.solve(X, Y, gamma=0.5, device=opened, run_dir=tmp_path / "run", panel_width=32)
    assert len(journal.read(tmp_path / "run" / JOURNAL).panels) == last + 1


def test_auto_takes_the_cpu_for_what_its_gpu_cannot_do(rng, stand_in_gpu, tmp_path):
    X, _, Y, _ = problem(rng, 60)
    kernel = Pairwise(distance) * Pairwise(lambda x, y: 1.0 + x[0] * y[0])
    given = {"ridge": 0.1, "panel_width": 16}
    solution = kernelfit.solve(X, Y, kernel=kernel, **given)
    assert solution.device == "cpu"
    assert any("device auto: cpu, as host cannot do it (kernel: " in note for note in solution.notes)
    assert np.array_equal(solution.alpha, kernelfit.solve(X, Y, kernel=kernel, device="cpu", **given).alpha)
    given |= {"gamma": 0.4, "device_memory": 50_000, "run_dir": tmp_path / "run"}
    solution = kernelfit.solve(X, Y, solver="auto", **given)
    assert solution.device == "cpu"
    assert any("device auto: cpu, as host cannot do it (device: " in note for note in solution.notes)
    (tmp_path / "run" / SOLUTION).unlink()
    progress = Silent()
    resumed = kernelfit.resume(tmp_path / "run", device_memory=50_000, progress=progress)
    assert resumed.device == "cpu"
    assert any("device auto: cpu, as host cannot do it (device: " in note for note in progress.notes)
    assert len(stand_in_gpu) == 3
    assert not any(device._memory.size for device in stand_in_gpu)
    with pytest.raises(PlanError, match=r"^device: "):
        kernelfit.solve(X, Y, gamma=0.4, device="cuda", device_memory=50_000)


@pytest.mark.parametrize("kind", [InputError, DeviceError])
def test_auto_takes_the_cpu_for_a_function_that_its_gpu_does_not_compile(
    rng, stand_in_gpu, monkeypatch, tmp_path, kind
):
    X, _, Y, _ = problem(rng, 30)

    def compile(device, kernel):
        raise kind("kernel: got distance, which needs numba-cuda")

    monkeypatch.setattr(HostDevice, "compile", compile)
    given = {"kernel": distance, "ridge": 0.1, "run_dir": tmp_path / "run"}
    with pytest.raises(kind, match="needs numba-cuda"):
        kernelfit.solve(X, Y, device="cuda", **given)
    assert not (tmp_path / "run").exists()
    solution = kernelfit.solve(X, Y, **given)
    assert solution.device == "cpu"
    assert any("device auto: cpu, as host cannot do it (kernel: " in note for note in solution.notes)
    assert not any(device._memory.size for device in stand_in_gpu)
    solution.close()


def scaled_distance(x, y, *, factor):
    return factor * distance(x, y)


def in_python(x, y):
    return float(str(distance(x, y)))  # which Numba does not compile


@pytest.mark.parametrize(
    "options",
    [
        {"kernel": scaled_distance, "kernel_params": {"factor": 2.0}},
        {"kernel": partial(scaled_distance, factor=2.0)},
        {"kernel": in_python},
    ],
    ids=["parameters", "partial", "python"],
)
def test_functions_that_are_compiled_for_no_device_are_refused_there(rng, make_device, options):
    X, _, Y, _ = problem(rng, 20)
    with pytest.raises(InputError, match="has no formula for a device, expected a kernel of"):
        kernelfit.solve(X, Y, device=make_device(16_000_000), **options)


def test_a_singular_system_names_its_row_and_closes_the_device(rng, make_device):
    X = rng.standard_normal((80, 2))
    X[50] = X[20] + 1e-12
    device = make_device(16_000_000)
    with pytest.raises(NotPositiveDefiniteError, match="nearest row is"):
        kernelfit.solve(X, X, kernel="gaussian", gamma=1e-4, device=device, panel_width=16)
    assert not np.any(device._memory)


def test_too_small_a_device_says_how_much_is_missing(rng, make_device):
    X, _, Y, _ = problem(rng)
    with pytest.raises(PlanError, match=r"^device: [\d,]+ bytes needed .* missing"):
        kernelfit.solve(X, Y, kernel="gaussian", device=make_device(50_000))


def test_two_functions_of_the_user_are_refused_on_a_device(rng, make_device):
    X, _, Y, _ = problem(rng)
    kernel = Pairwise(distance) * Pairwise(lambda x, y: 1.0 + x[0] * y[0])
    with pytest.raises(InputError, match="at most one on a device"):
        kernelfit.solve(X, Y, kernel=kernel, device=make_device(16_000_000))


@pytest.mark.parametrize("precision", ["float64", "tf32"])
@pytest.mark.parametrize("data", ["bytes", "floats"])
def test_panels_are_dealt_out_to_several_devices(rng, make_device, tolerance, tmp_path, data, precision):
    X, X_test, Y, scale = problem(rng, data=data)
    given = {"kernel": "gaussian", "gamma": 0.4, "scale": scale, "ridge": 0.1, "panel_width": 16}
    alone = kernelfit.solve(X, Y, device=make_device(16_000_000), **given)
    devices = [make_device(16_000_000) for _ in range(3)]
    together = kernelfit.solve(X, Y, device=devices, precision=precision, run_dir=tmp_path / "run", **given)
    assert together.device == "+".join(device.name for device in devices)
    assert together.certificate.backward_error <= tolerance(np.float64, 150)
    assert np.allclose(together.alpha, alone.alpha, rtol=1e-8, atol=1e-8)
    assert np.allclose(together.predict(X_test), alone.predict(X_test), rtol=1e-8, atol=1e-8)
    assert np.allclose(together.leave_one_out(), alone.leave_one_out(), rtol=1e-2, atol=1e-2)
    together.close()
    assert not any(np.any(device._memory) for device in devices)
    opened = kernelfit.open(tmp_path / "run")  # every panel is in the file, whoever made it
    assert np.allclose(opened.solve(Y).alpha, alone.alpha, rtol=1e-2, atol=1e-2)
    opened.close()


def test_a_dealt_run_is_taken_up_again(rng, make_device, monkeypatch, tmp_path):
    X, _, Y, _ = problem(rng, 200)
    given = {"kernel": "gaussian", "gamma": 0.5, "ridge": 0.1, "panel_width": 16}
    whole = kernelfit.solve(X, Y, device=[make_device(16_000_000) for _ in range(2)], **given)
    devices, panels = [make_device(16_000_000) for _ in range(2)], []

    def stop_after_three(*arguments, potrf=devices[1].potrf):
        panels.append(arguments)
        if len(panels) > 3:
            raise DeviceError("device: lost")
        potrf(*arguments)

    monkeypatch.setattr(devices[1], "potrf", stop_after_three)
    with pytest.raises(DeviceError, match="lost"):
        kernelfit.solve(X, Y, device=devices, run_dir=tmp_path / "run", **given)
    assert not any(np.any(device._memory) for device in devices)
    progress = Silent()
    again = kernelfit.resume(
        tmp_path / "run", device=[make_device(16_000_000) for _ in range(2)], progress=progress
    )
    assert np.array_equal(again.alpha, whole.alpha)


def test_a_tier_is_of_no_use_on_a_device_and_that_is_said(rng, make_device):
    X, _, Y, _ = problem(rng, 40)
    solution = kernelfit.solve(X, Y, device=make_device(16_000_000), tier="disk")
    assert "tier disk: ignored on a device, whose plan says where tiles live" in solution.notes
    solution.close()


def test_several_devices_that_cannot_be_had(rng, make_device):
    X, _, Y, _ = problem(rng, 300)
    with pytest.raises(PlanError, match=r"bytes needed on each of 2 devices"):
        kernelfit.solve(
            X, Y, kernel="gaussian", device=[make_device(16_000_000), make_device(560_000)], panel_width=16
        )
    for name in ("cuda:0,cuda:0", "cuda,cuda:0", "cuda:0,", "cuda:0,cpu"):
        with pytest.raises(InputError, match="device: got"):
            open_device(name, 10, print)


def test_a_run_of_the_cpu_goes_on_on_a_device(rng, make_device, monkeypatch, tmp_path):
    X, _, Y, _ = problem(rng, 200)
    given = {"kernel": "gaussian", "gamma": 0.5, "ridge": 0.1, "panel_width": 32, "device": "cpu"}
    whole = kernelfit.solve(X, Y, **given)

    def stop(*arguments):
        raise DeviceError("stopped")

    with monkeypatch.context() as patched:
        patched.setattr("kernelfit.solver.complete.answer", stop)
        with pytest.raises(DeviceError, match="stopped"):
            kernelfit.solve(X, Y, run_dir=tmp_path / "run", **given)
    solution = kernelfit.resume(tmp_path / "run", device=make_device(16_000_000))
    assert solution.device != "cpu"
    assert np.allclose(solution.alpha, whole.alpha, rtol=1e-9, atol=1e-9)


def test_what_only_a_card_can_do_is_refused_on_the_cpu(rng, make_device):
    X, _, Y, _ = problem(rng, 30)
    with pytest.raises(InputError, match="tf32 on the CPU"):
        kernelfit.solve(X, Y, device="cpu", precision="tf32")
    with pytest.raises(InputError, match=r"device_memory: got .* for the CPU"):
        kernelfit.solve(X, Y, device="cpu", device_memory="10GB")
    with pytest.raises(InputError, match=r"device_memory: got .* for a device that is open already"):
        kernelfit.solve(X, Y, device=make_device(1_000_000), device_memory=10)
    for wrong in ("much", -1):
        with pytest.raises(InputError, match=r"^device_memory: got"):
            kernelfit.solve(X, Y, device="cuda", device_memory=wrong)


def test_names_of_devices():
    notes: list[str] = []
    assert open_device("cpu", 10, notes.append) is None
    for name in ("gpu", "cuda:", "cuda:x", "cuda0", ""):
        with pytest.raises(InputError, match="expected auto, cpu, cuda"):
            open_device(name, 10, notes.append)


def test_rows_that_a_device_holds_are_not_read_again_for_its_predictions(rng, make_device, monkeypatch):
    """A pass over the host's copy took longer than the device, and predictions by its own rows were refused."""
    monkeypatch.setattr("kernelfit.gram.points._COPIED", 0)
    X, rows, Y, _ = problem(rng)
    solution = kernelfit.solve(X, Y, gamma=0.5, device=make_device(16_000_000))
    before = solution.predict(rows)
    X += 1.0
    assert np.array_equal(solution.predict(rows), before)
