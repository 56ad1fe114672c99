"""The GPU benchmark without a GPU: choice of rows, budget, failures, record and table, and every row at small size."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.children import isolated
from benchmarks.gpu import acceptance, checks, factor, kernels, rows, settings, whole_matrix, workers
from benchmarks.gpu.row import BODIES
from benchmarks.gpu.settings import Setting, shifted
from kernelfit import datasets
from kernelfit.device.cuda import CudaDevice
from kernelfit.device.protocol import Slab
from kernelfit.errors import DataError, InputError


@pytest.fixture
def without_data(monkeypatch, tmp_path):
    """No MNIST to be found, and none asked for over a network: rows are random bytes."""

    def absent(*arguments, **options):
        raise DataError("mnist: not found")

    monkeypatch.setattr(datasets, "load", absent)
    return tmp_path


def test_constants_are_put_back():
    def now():
        return factor.inverses.TRIANGLE, factor.inverses.MAX_GROWTH, factor.cholesky.DIAGONAL_STRIPS

    before = now()
    with factor.constants(triangle=8, diagonal_strips=1):
        assert now() == (8, before[1], 1)
    with factor.constants(max_growth=0.0):
        assert now() == (before[0], 0.0, before[2])
    assert now() == before


def test_dgemm_is_timed_for_as_long_as_the_factor(monkeypatch):
    now, asked = [0.0], []
    monkeypatch.setattr(settings, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(settings, "seconds_of", lambda device, work, repeats=5: 1.0)

    def gemm(*given, **options):
        asked.append(now[0])
        now[0] += 0.5

    device = Setting("host").open()
    monkeypatch.setattr(device, "gemm", gemm)
    rate = settings.sustained_gemm_rate(device, "float64", 10, seconds=9.0)
    device.close()
    assert len(asked) == 24  # three times eight products of half a second
    assert rate == pytest.approx(2 * 10**3 / 0.5)


def test_every_row_has_a_body_and_every_body_a_row():
    names = [row.name for row in rows.ROWS]
    assert len(set(names)) == len(names)
    assert {row.name for row in rows.ROWS if row.check is None} == set(BODIES) - {"probe"}


@pytest.mark.parametrize(
    "name", [name for name in BODIES if name not in ("probe", "mnist", "random-conv", "kernels")]
)
def test_rows_run_at_small_size(name, without_data):
    setting, reports = Setting("host", without_data), []
    result = BODIES[name](setting, reports.append)
    aims = next(row.aims for row in rows.ROWS if row.name == name)
    emulated = {"float64_fixed_point_flops_per_second", "float32_bf16x9_flops_per_second"}  # of a GPU only
    for key in {aim.key for aim in aims} - emulated:
        assert np.isfinite(result[key]), key
    if name == "in-core-120000":
        assert result["log_det_difference"] < 1e-12
    if name == "budget-10gb":
        for spilled in ("spilled", "spilled_first"):
            assert result[spilled]["traffic_bytes"]["device_out"] > 0
        assert result["in_core"]["traffic_bytes"]["device_out"] == 0
        assert result["spilled"]["log_det"] == pytest.approx(result["in_core"]["log_det"], rel=1e-12)
    if name == "precision":
        assert result["tf32"]["refinements"] > 0
        assert result["tf32"]["rkhs_norm"] == pytest.approx(result["float64"]["rkhs_norm"], rel=1e-9)
    if name == "in-core-60000":
        assert set(result["flops_per_second_by_width"]) == {16, 32}
        assert result["flops_per_second_without_inverses"] > 0
        assert set(result["flops_per_second_by_triangle"]) == {8, factor.inverses.TRIANGLE}
        assert set(result["flops_per_second_by_diagonal_strips"]) == {1, 2, 4}
    if name != "rates":
        assert "random bytes instead of MNIST" in setting.notes[0]


class Paper(CudaDevice):
    """A GPU of which only the slab is accounted for."""

    def __init__(self, index=0, capacity=None, **options):
        self.name, self.compute, self.byte_products, self.refused = "cuda:0", "float32", "cublas", set()
        self.slab = Slab(capacity, self.name)
        self.runtime = SimpleNamespace(hostAlloc=lambda *given: 1, freeHost=lambda *given: None)

        self.blas = SimpleNamespace(gemmEx=lambda *given: None)
        self._memory = 0

    def host(self, nbytes):
        return np.zeros(nbytes, np.uint8)

    def stream(self, name, *, urgent=False):
        return SimpleNamespace(blas=1, stream=contextlib.nullcontext())

    def describe(self):
        return {}

    def nothing(self, *arguments, **options):
        pass

    record = synchronise = release_host = copy_in = copy_out = copy = zero = close = nothing
    patch_statistics = random_conv = nothing


@pytest.mark.parametrize("name", ["rates", "kernels"])
def test_what_a_row_takes_of_a_gpu_at_its_full_size_is_there(name, monkeypatch):
    monkeypatch.setattr(settings, "CudaDevice", Paper)
    for module in (settings, kernels):
        monkeypatch.setattr(module, "seconds_of", lambda device, work, repeats=5: 1.0)
        monkeypatch.setattr(module, "fill", lambda *given: None)
    result = BODIES[name](Setting("cuda:0"), lambda record: None)
    aims = next(row.aims for row in rows.ROWS if row.name == name)
    assert {aim.key for aim in aims} <= set(result)
    assert result["refused_by_cublas"] == []


@pytest.mark.parametrize("name", ["kernels", "random-conv"])
def test_a_row_in_a_process_of_its_own(name):
    result = isolated.run("benchmarks.gpu.row", name, limit=250, device="host")
    aims = next(row.aims for row in rows.ROWS if row.name == name)
    assert {aim.key for aim in aims} <= set(result), result
    assert "failed" not in result


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("count", [1, 2])
def test_workers_that_share_a_gpu_are_not_asked_of_dask_cuda(monkeypatch, count, installed):
    """Which has one for each GPU, and fails where it is asked for more."""
    distributed = pytest.importorskip("distributed")
    started = []
    dask_cuda = SimpleNamespace(LocalCUDACluster=lambda **options: started.append(("dask-cuda", options)))
    monkeypatch.setitem(sys.modules, "dask_cuda", dask_cuda if installed else None)
    monkeypatch.setattr(distributed, "LocalCluster", lambda **options: started.append(("Dask", options)))
    setting = Setting("cuda:3")
    workers._with_gpu(setting, {"n_workers": count})
    ((by, options),) = started
    assert by == ("dask-cuda" if installed and count == 1 else "Dask")
    assert options["n_workers"] == count
    assert options.get("env", options)["CUDA_VISIBLE_DEVICES"] == "3"
    assert len(setting.notes) == (not installed and count == 1)


def test_the_device_describes_itself():
    assert acceptance.device_properties("host") == {"name": "host", "scaled": []}


def test_mnist_that_is_not_there_is_said(without_data):
    result = BODIES["mnist"](Setting("host", without_data), lambda record: None)
    assert result["skipped"] == "mnist: not found"
    setting = Setting("host", without_data)
    rows, targets, _ = setting.images(30)
    assert (rows.shape, targets.shape) == ((30, 784), (30, 10))
    assert setting.notes == ["random bytes instead of MNIST: mnist: not found"]


def test_without_a_gpu_one_line_and_exit_code_two(tmp_path):
    if subprocess.run([sys.executable, "-c", "import cupy"], capture_output=True).returncode == 0:
        pytest.skip("CuPy is there")
    target = tmp_path / "gpu.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--out", str(target)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("device: cuda:0 needs CuPy")
    assert done.stderr.count("\n") == 1
    assert not target.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rows", "rates,nothing"], "--rows: got nothing, expected some of rates"),
        (["--device", "gpu"], "device: got 'gpu', expected"),
        (["--device", "cpu"], "--device: got cpu"),
        (["--out", "."], "--out: got ., expected a file name"),
    ],
)
def test_bad_arguments_are_one_line(arguments, says, capsys, tmp_path):
    with pytest.raises(SystemExit) as caught:
        acceptance.main(["--out", str(tmp_path / "gpu.json"), "--device", "host", *arguments])
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


@pytest.fixture
def results(monkeypatch):
    """Rows give what is put here instead of being run; the limits that they were run with, and a clock for them."""
    outcomes: dict[str, dict] = {}
    limits: list[float] = []
    now = [0.0]

    def run(module, name, *, limit, **arguments):
        limits.append(limit)
        now[0] += outcomes[name].pop("takes", 0.0)
        return outcomes[name]

    monkeypatch.setattr(isolated, "run", run)
    monkeypatch.setattr(acceptance, "device_properties", lambda device: {"name": "a GPU"})
    outcomes |= {"limits": limits, "now": now}
    return outcomes


def test_the_record_is_written_after_every_row_and_a_failure_costs_no_other(
    results, tmp_path, capsys, monkeypatch
):
    target, seen = tmp_path / "gpu.json", []
    results |= {
        "in-core-60000": {"share_of_dgemm": 0.91, "backward_error": 1e-17, "n": 60_000},
        "mnist": {"failed": "killed by signal 9", "stderr": ["last words"]},
        "budget-10gb": {"share_of_in_core": 0.5, "scaled": ["n 50,000 instead of 100,000"]},
        "larger-than-device": {"skipped": "no room"},
    }
    written = acceptance.json_output.write
    monkeypatch.setattr(
        acceptance.json_output,
        "write",
        lambda record, out: (seen.append(len(record["rows"])), written(record, out)),
    )
    with pytest.raises(SystemExit) as caught:
        acceptance.main(
            ["--out", str(target), "--rows", "mnist,in-core-60000,budget-10gb,larger-than-device"]
        )
    assert caught.value.code == 1
    assert seen == [1, 2, 3, 4]
    record = json.loads(target.read_text())
    assert [row["status"] for row in record["rows"]] == ["met", "failed", "below", "not run"]
    assert record["command"].startswith("python -m benchmarks.gpu --out ")
    assert {"date", "gpu", "versions", "processor"} <= set(record["environment"])
    assert record["properties"] == {"name": "a GPU"}
    assert record["rows"][1]["result"]["stderr"] == ["last words"]
    output = capsys.readouterr().out
    for text in (
        "0.91  (of DGEMM >= 0.85)",
        "killed by signal 9",
        "0.5 !  (of in core >= 0.85, host memory pinned before)",
        "n 50,000",
        "no room",
    ):
        assert text in output


def test_the_budget_cuts_limits_and_ends_the_rows(results, tmp_path, monkeypatch):
    monkeypatch.setattr(acceptance, "_MIN_LEFT", 0.3)
    monkeypatch.setattr(acceptance, "time", SimpleNamespace(perf_counter=lambda: results["now"][0]))
    results |= {"rates": {"takes": 0.3}, "in-core-60000": {"takes": 0.3}, "mnist": {}, "kernels": {}}
    with pytest.raises(SystemExit) as caught:
        acceptance.main(
            [
                "--out",
                str(tmp_path / "gpu.json"),
                "--rows",
                "rates,in-core-60000,mnist,kernels",
                "--budget",
                "0.8",
            ]
        )
    assert caught.value.code == 0
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert [row["status"] for row in rows] == ["met", "met", "not run", "not run"]
    assert "budget of 1 s was spent" in rows[-1]["result"]["skipped"]
    assert results["limits"][0] <= 0.8
    assert results["limits"][1] <= 0.5


def test_a_process_is_stopped_at_its_limit_and_what_it_said_is_kept(tmp_path, monkeypatch):
    (tmp_path / "slow_module.py").write_text(
        "import subprocess, sys, time\n"
        "print('{\"done\": 1}', flush=True)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('{\"cut off', flush=True)\n"
        "time.sleep(60)\n"
    )
    (tmp_path / "bad_module.py").write_text("import sys\nprint('{\"n\": 3}')\nsys.exit('device: lost')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = time.monotonic()
    result = isolated.run("slow_module", limit=2.0)
    assert time.monotonic() - started < 30
    assert (result["done"], result["failed"]) == (1, "stopped after 2 s")
    assert isolated.run("bad_module", limit=60.0) == {
        "n": 3,
        "failed": "device: lost",
        "stderr": ["device: lost"],
    }
    assert isolated.run("bad_module") == {"n": 3, "failed": "device: lost"}


def test_what_cannot_be_ended_is_not_waited_for(tmp_path, monkeypatch):
    """A child that left the group of processes holds the output open."""
    (tmp_path / "held_module.py").write_text(
        "import subprocess, sys, time\n"
        "print('{\"done\": 1}', flush=True)\n"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(20)']\n"
        "subprocess.Popen(sleep, start_new_session=True)\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(isolated, "PATIENCE", 0.5)
    started = time.monotonic()
    result = isolated.run("held_module", limit=2.0)
    assert time.monotonic() - started < 15
    assert (result["done"], result["failed"]) == (1, "stopped after 2 s")


def test_the_whole_run_ends_within_nine_minutes():
    assert acceptance.BUDGET + isolated.PATIENCE <= 9 * 60


def test_numbers_of_rows_shrink_to_what_fits():
    setting = Setting("cuda:0")
    assert setting.n(120_000, lambda n: True) == 120_000
    assert setting.notes == []
    capacity = 40 * 10**9
    n = setting.n(120_000, settings.in_core(capacity))
    assert settings.in_core(capacity)(n)
    assert not settings.in_core(capacity)(n + 5_000)
    assert setting.notes == [f"n {n:,} instead of 120,000: more does not fit this device"]


def test_shifted_rows_are_distinct_and_move_by_one_pixel(rng):
    rows = rng.integers(1, 256, (7, 784), dtype=np.uint8)
    more = shifted(rows, 35)
    assert len(np.unique(more, axis=0)) == 35
    pictures = more.reshape(5, 7, 28, 28)
    assert np.array_equal(pictures[1][:, 1:], pictures[0][:, :-1])
    assert np.array_equal(pictures[4][:, :, :-1], pictures[0][:, :, 1:])
    assert not pictures[1][:, 0].any()
    assert not pictures[4][:, :, -1].any()
    assert np.array_equal(shifted(rows, 9), more[:9])


def test_what_checkers_and_test_reports_say():
    assert checks.errors_in("========= ERROR SUMMARY: 0 errors") == 0
    assert checks.errors_in("========= RACECHECK SUMMARY: 2 hazards displayed (1 errors, 1 warnings)") == 2
    report = """<testsuites><testsuite><testcase name="a"/><testcase name="b"><skipped/></testcase>
      <testcase name="c"><failure message="assert 1 == 2&#10;more"/></testcase>
      <testcase name="tests.x"><error message="collection failure">no pooch</error></testcase>
      </testsuite></testsuites>"""
    assert checks.counts(report) == {
        "passed": 1,
        "skipped": 1,
        "failures": 1,
        "not_collected": ["tests.x"],
        "failing": ["c: assert 1 == 2"],
    }


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("==== ERROR SUMMARY: 0 errors\n7 passed in 3 s", {"errors": 0}),
        ("==== ERROR SUMMARY: 2 errors\n==== ERROR SUMMARY: 1 error\n7 passed in 3 s", {"errors": 3}),
        (
            "==== ERROR SUMMARY: 0 errors\n7 skipped in 3 s",
            {"failed": "no test ran under memcheck: 7 skipped in 3 s"},
        ),
        ("==== Device not supported", {"failed": "memcheck gave no summary: ==== Device not supported"}),
    ],
)
def test_findings_of_a_checker(tmp_path, monkeypatch, output, expected):
    program = tmp_path / "compute-sanitizer"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    result = checks.sanitizer("memcheck", 60)
    assert result["program"] == str(program)
    assert {key: result[key] for key in expected} == expected
    assert ("output" in result) == (expected.get("errors") != 0)


@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_what_a_checker_is_asked(monkeypatch, tool):
    asked = []
    monkeypatch.setattr(checks.shutil, "which", lambda name: "/bin/compute-sanitizer")
    monkeypatch.setattr(checks, "finish", lambda command, limit: (asked.append(command), (0, "", ""))[1])
    checks.sanitizer(tool, 60)
    assert asked[0][:3] == ["/bin/compute-sanitizer", "--tool", tool]
    assert asked[0].count("--kernel-name") == len(checks.KERNELS)
    assert asked[0][asked[0].index("--report-api-errors") + 1] == "no"


def test_the_checkers_know_every_kernel():
    from kernelfit.device.cuda_sources import sources

    text = "".join(path.read_text() for path in sources().glob("*.cu*"))
    for name in checks.KERNELS:
        assert name in text


def test_tests_marked_gpu_are_counted(monkeypatch):
    """Without a GPU they are all skipped; the row says how many."""
    monkeypatch.setattr(
        checks,
        "_pytest",
        lambda marker: [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            marker,
            "-k",
            "l1",
        ],
    )
    result = checks.gpu_tests(200, "tests/device/test_operations.py")
    assert result["passed"] + result["skipped"] >= 4
    assert result["failures"] == 0


def test_tests_that_take_too_long_leave_a_report(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "_REPORT", 299.0)
    (tmp_path / "test_slow.py").write_text(
        "import time\n"
        "import pytest\n"
        "@pytest.mark.gpu\n"
        "@pytest.mark.parametrize('number', range(100))\n"
        "def test_it(number):\n"
        "    time.sleep(0.3)\n"
        "    assert number\n"
    )
    result = checks.gpu_tests(300.0, str(tmp_path))
    assert result["failed"] == "stopped after 1 s, before all tests had run"
    # However long it takes to begin, the first test is run, and fails.
    assert result["passed"] < 99
    assert result["failures"] == 1
    assert result["failing"][0].startswith("test_it[0]: ")


def test_a_loaded_library_is_found():
    maps = "7f00-7f01 r-xp 00000000 08:01 12 /usr/lib/libcusolver.so.12\n7f02-7f03 rw-p 0 00:00 0\n"
    assert str(whole_matrix.library_path("libcusolver.so", maps)) == "/usr/lib/libcusolver.so.12"
    assert whole_matrix.library_path("libcusolver.so", "7f02-7f03 rw-p 0 00:00 0\n") is None


def test_unknown_rows_are_refused():
    with pytest.raises(InputError, match="expected some of"):
        rows.chosen("rates,,x")
    assert [row.name for row in rows.chosen("mnist, rates")] == ["rates", "mnist"]
