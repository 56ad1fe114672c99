"""Downloads against a server on this machine: checksum, retry, mirrors, progress."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import requests.exceptions

from kernelfit.datasets import download, load
from kernelfit.datasets import locate as locate_module
from kernelfit.datasets.download import fetch
from kernelfit.datasets.emnist import EMNIST_BALANCED, EMNIST_DIGITS, EMNIST_LETTERS
from kernelfit.datasets.idx import IDX_FILES
from kernelfit.datasets.mnist import MNIST
from kernelfit.datasets.registry import REGISTRY
from kernelfit.datasets.spec import Spec
from kernelfit.errors import DataError
from kernelfit.progress import Advance, Silent


class Server(ThreadingHTTPServer):
    """Serves `contents`; the first `failures` requests get an error, or their body cut in the middle."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents: dict[str, bytes] = {}
        self.failures = 0
        self.cut = False
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        content = self.server.contents.get(self.path.lstrip("/").split("/")[-1])
        failing = self.server.failures > 0
        self.server.failures -= failing
        if content is None or (failing and not self.server.cut):
            self.send_error(404 if content is None else 503)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if failing else content)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


class Counter(Silent):
    """Keeps the units that each phase was told of."""

    def __init__(self) -> None:
        super().__init__()
        self.phases: dict[str, float] = {}
        self.totals: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str, total: float, unit: str = "flop") -> Iterator[Advance]:
        assert unit == "bytes"
        self.phases[name] = 0
        self.totals[name] = total

        def advance(amount: float) -> None:
            self.phases[name] += amount

        yield advance


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # pooch waits between attempts
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes(), mtime=0)


@pytest.fixture
def spec(server: Server) -> Spec:
    """A small MNIST whose files lie on the server."""
    rng = np.random.default_rng(1)
    downloads = []
    for name, n in zip(IDX_FILES, (20, 20, 10, 10), strict=True):
        labels = (np.arange(n) % 10).astype(np.uint8)
        content = idx(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) if "images" in name else labels)
        server.contents[name] = content
        downloads.append(
            dataclasses.replace(
                next(file for file in MNIST.downloads if file.name == name),
                sha256=hashlib.sha256(content).hexdigest(),
                content_sha256=hashlib.sha256(gzip.decompress(content)).hexdigest(),
                size=len(content),
                mirrors=(f"{server.url}first/{name}", f"{server.url}second/{name}"),
            )
        )
    return dataclasses.replace(MNIST, n_train=20, n_test=10, downloads=tuple(downloads))


def test_everything_arrives_and_progress_is_told_of_every_byte(spec: Spec, tmp_path: Path) -> None:
    report = Counter()
    folder = fetch(spec, tmp_path, report)
    assert folder == tmp_path / "mnist"
    assert sorted(path.name for path in folder.iterdir()) == sorted(IDX_FILES)
    assert report.phases == report.totals
    assert report.totals[f"download {IDX_FILES[0]}"] == spec.downloads[0].size
    assert report.notes == []


def test_sets_of_the_same_files_are_downloaded_once(server: Server, tmp_path: Path) -> None:
    content = b"one archive"
    server.contents["gzip.zip"] = content
    archive = dataclasses.replace(
        EMNIST_LETTERS.downloads[0],
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        mirrors=(f"{server.url}gzip.zip",),
    )
    for spec in (EMNIST_LETTERS, EMNIST_BALANCED, EMNIST_DIGITS):
        folder = fetch(dataclasses.replace(spec, downloads=(archive,)), tmp_path)
        assert folder == tmp_path / "emnist"
        assert locate_module.locate_in(tmp_path, spec) is not None
    assert server.requests == ["/gzip.zip"]


def test_what_is_there_is_not_fetched_again(spec: Spec, server: Server, tmp_path: Path) -> None:
    fetch(spec, tmp_path)
    server.requests.clear()
    fetch(spec, tmp_path)
    assert server.requests == []
    (tmp_path / "mnist" / IDX_FILES[1]).write_bytes(b"damaged since")
    fetch(spec, tmp_path)
    assert server.requests == [f"/first/{IDX_FILES[1]}"]


@pytest.mark.parametrize("cut", [False, True])
def test_a_passing_fault_is_tried_again(
    spec: Spec, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    monkeypatch.setattr(download, "_CHUNK", 64)  # several chunks, so that a cut comes after some of them
    server.failures, server.cut = 2, cut
    report = Counter()
    fetch(spec, tmp_path, report)
    assert server.requests[:3] == [f"/first/{IDX_FILES[0]}"] * 3
    assert report.notes == []
    assert report.phases == report.totals, "a retry does not count twice"


def test_the_second_mirror_steps_in_and_that_is_noted(spec: Spec, server: Server, tmp_path: Path) -> None:
    server.failures = 1
    report = Silent()
    fetch(spec, tmp_path, report, retries=0)
    assert server.requests[:2] == [f"/first/{IDX_FILES[0]}", f"/second/{IDX_FILES[0]}"]
    assert len(report.notes) == 1
    assert f"no {IDX_FILES[0]} from {server.url}first/{IDX_FILES[0]}: 503" in report.notes[0]


def test_a_wrong_checksum_leaves_nothing(spec: Spec, server: Server, tmp_path: Path) -> None:
    server.contents[IDX_FILES[0]] = b"x" * spec.downloads[0].size
    with pytest.raises(
        DataError, match=r"found it nowhere .*another sha256.*; .*another sha256.*KERNELFIT_DATA"
    ) as e:
        fetch(spec, tmp_path, retries=1)
    assert "\n" not in str(e.value)
    assert len(server.requests) == 4
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_sends_too_much_is_stopped(spec: Spec, server: Server, tmp_path: Path) -> None:
    server.contents[IDX_FILES[0]] = bytes(8 << 20)
    with pytest.raises(DataError, match=r"more than the .* bytes of the official file"):
        fetch(spec, tmp_path, retries=0)
    assert list(tmp_path.iterdir()) == []


def test_no_connection_is_one_line(spec: Spec, server: Server, tmp_path: Path) -> None:
    nowhere = dataclasses.replace(spec.downloads[0], mirrors=("http://127.0.0.1:9/a",))
    with pytest.raises(DataError, match="no connection") as caught:
        fetch(dataclasses.replace(spec, downloads=(nowhere,)), tmp_path, retries=0)
    assert "\n" not in str(caught.value)


def test_a_proxy_and_a_certificate_are_named(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(DataError, match="no connection through the proxy of"):
        fetch(spec, tmp_path, retries=0)
    refused = requests.exceptions.SSLError("certificate verify failed")
    assert "certificate that is not trusted" in download._reason(refused)


def test_a_folder_that_cannot_be_written_is_named(spec: Spec, tmp_path: Path) -> None:
    (tmp_path / "mnist").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="mnist"):
        fetch(spec, tmp_path, retries=0)


def test_load_fetches_what_it_does_not_find(
    spec: Spec, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KERNELFIT_DATA", raising=False)
    monkeypatch.setitem(REGISTRY, "mnist", spec)
    for module in (locate_module, download):
        monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "cache")
    dataset = load("mnist")
    assert dataset.X_train.shape == (20, 784)
    assert dataset.notes == (f"mnist was downloaded to {tmp_path / 'cache' / 'mnist'}",)
    assert (tmp_path / "cache" / "mnist" / IDX_FILES[0]).is_file()
    server.requests.clear()
    assert load("mnist").notes == ()
    assert server.requests == []
