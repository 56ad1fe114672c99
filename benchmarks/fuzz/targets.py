"""What is fuzzed: every reader of data, runs and solutions, and the command line.

A target makes valid files once and then reads damaged ones. It returns whether the damaged one was accepted; what it
may raise is a `KernelfitError` of one line. `Wrong` says that damage passed for something else.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pickle
import random
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

import kernelfit
from benchmarks.fuzz.commands import arguments
from benchmarks.fuzz.mutations import forge, mutate, mutate_json
from kernelfit.errors import KernelfitError
from kernelfit.experiments import record
from kernelfit.runs import identity, result_file, run_file, solution_file
from kernelfit.storage import hdf5, json_output

#: if any damaged file makes us run this, the file appears
CANARY = "canary"
_NPY_TOKENS = (b"'|O'", b"'<f8'", b"999999999999", b"(", b",", b"}", b"-1", b"'V8'", b"[('a','<f8')]")


class Wrong(Exception):
    """Damage was taken for something else."""


class FileTarget:
    """A reader of one file."""

    def __init__(
        self,
        name: str,
        read: Callable[[Path], Any],
        originals: Callable[[], list[bytes]],
        tokens: tuple[bytes, ...] = (),
        pack: Callable[[random.Random, list[bytes]], bytes] | None = None,
    ) -> None:
        self._name, self._read, self._make, self._tokens, self._pack = name, read, originals, tokens, pack

    def prepare(self, folder: Path) -> None:
        self._originals = self._make()
        self._path = folder / self._name
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for content in self._originals:
            self._path.write_bytes(content)
            with contextlib.suppress(KernelfitError):  # some are malicious as they are
                self._read(self._path)

    def run(self, rng: random.Random) -> bool:
        # What is damaged outside is refused by its checksum, and its inside is never seen.
        inside = self._pack is not None and rng.random() < 0.7
        self._path.write_bytes(
            self._pack(rng, self._originals)
            if inside and self._pack
            else mutate(rng, self._originals, self._tokens)
        )
        self._read(self._path)
        return True


def _problem() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {"X": rng.normal(size=(60, 3)), "Y": rng.normal(size=(60, 2)), "gamma": 1.0, "panel_width": 16}


class RunTarget:
    """A damaged file of a run whose solution was not written yet: checked, then continued.

    What comes out is the right alpha, or an error of one line.
    """

    def __init__(self, file: str, damage: Callable[[random.Random, bytes], bytes]) -> None:
        self._file, self._damage = file, damage

    def prepare(self, folder: Path) -> None:
        self._folder, self._whole = folder / "run", folder / "whole"
        versions = identity.versions()
        identity.versions = lambda: versions  # asked for twice an input, and half of its time
        solution = kernelfit.solve(**_problem(), threads=1, run_dir=self._whole, condition=False)
        self._alpha = solution.alpha
        solution.close()
        (self._whole / "solution.h5").unlink()
        self._bytes = {path.name: path.read_bytes() for path in self._whole.iterdir()}
        self.run_with(self._bytes[self._file])

    def run(self, rng: random.Random) -> bool:
        return self.run_with(self._damage(rng, self._bytes[self._file]))

    def run_with(self, content: bytes) -> bool:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        for name, data in self._bytes.items():
            (self._folder / name).write_bytes(content if name == self._file else data)
        report = kernelfit.check(self._folder, threads=1)
        if any("\n" in line for line in report.problems):
            raise Wrong("a problem of more than one line")
        solution = kernelfit.resume(self._folder, threads=1)
        try:
            # A run's targets are its own: whoever forges them with a right checksum asks for another alpha.
            if not np.array_equal(solution.targets, _problem()["Y"]):
                return True
            if not np.array_equal(solution.alpha, self._alpha):
                raise Wrong("another alpha")
        finally:
            solution.close()
        return report.ok


class SolutionTarget:
    """A damaged solution: refused, or the one that was saved."""

    def __init__(self, damage: Callable[[random.Random, bytes], bytes], *, forged: bool) -> None:
        self._damage, self._forged = damage, forged

    def prepare(self, folder: Path) -> None:
        self._path = folder / "solution.h5"
        solution = kernelfit.solve(**_problem(), threads=1)
        solution.save(self._path)
        solution.close()
        self._alpha, self._data = solution.alpha, self._path.read_bytes()
        self._answer = kernelfit.load(self._path).predict(_problem()["X"])

    def run(self, rng: random.Random) -> bool:
        self._path.write_bytes(self._damage(rng, self._data))
        loaded = kernelfit.load(self._path)
        if not self._forged and not np.array_equal(loaded.alpha, self._alpha):
            raise Wrong("another alpha")
        answer = loaded.predict(_problem()["X"])
        # What is compared when a file is read is rounded, and so may be what was forged.
        if not np.allclose(answer, self._answer.reshape(answer.shape), rtol=1e-6, atol=1e-6):
            raise Wrong("another answer")
        loaded.summary()
        json_output.dumps(loaded.to_dict())
        return True


class CommandTarget:
    """The command line, as its console script runs it."""

    def prepare(self, folder: Path) -> None:
        self._folder = folder / "commands"
        self._stored = folder / "stored"
        self._stored.mkdir()
        rng = np.random.default_rng(2)
        np.savez(
            self._stored / "data.npz",
            X_train=rng.normal(size=(24, 3)),
            y_train=np.arange(24) % 3,
            X_test=rng.normal(size=(6, 3)),
            y_test=np.arange(6) % 3,
        )
        np.save(self._stored / "rows.npy", rng.normal(size=(4, 3)))
        self._invoke(["solve", "--train", str(self._stored / "data.npz"), "--out", str(self._stored / "run")])

    def run(self, rng: random.Random) -> bool:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        return self._invoke(arguments(rng, self._stored))

    def _invoke(self, words: list[str]) -> bool:
        from kernelfit import cli

        self._folder.mkdir(exist_ok=True)
        os.chdir(self._folder)
        said = io.StringIO()
        code: Any = 0
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
                cli.main(words)
        except SystemExit as stop:
            code = stop.code or 0
        except Exception as error:
            raise Wrong(f"{' '.join(words)!r} raised {type(error).__name__}: {error}") from error
        lines = said.getvalue().splitlines()
        if code not in (0, 2):
            raise Wrong(f"{' '.join(words)!r} gave exit code {code}")
        if code == 2 and words and not (lines and lines[-1].startswith(("kernelfit: ", "Usage: ", "  "))):
            raise Wrong(f"{' '.join(words)!r} said {lines[-1:]}")
        if any("Traceback" in line for line in lines):
            raise Wrong(f"{' '.join(words)!r} gave a traceback")
        return code == 0


class ResultTarget:
    """The record that `predict` reads beside a solution."""

    def prepare(self, folder: Path) -> None:
        self._commands = CommandTarget()
        self._commands.prepare(folder)
        self._run = folder / "stored" / "run"
        self._rows = str(folder / "stored" / "rows.npy")
        self._record = json.loads((self._run / "result.json").read_text())
        self._bytes = (self._run / "result.json").read_bytes()
        loaded = kernelfit.Experiment.load(self._run)
        self._alpha, self._classes = loaded.solution.alpha, loaded.classes
        self._answer = loaded.predict(np.load(self._rows)).tolist()

    def run(self, rng: random.Random) -> bool:
        if rng.random() < 0.7:
            kept = self._record if rng.random() < 0.5 else self._needed()
            forged = self._record | forge(rng, kept)
            for key in set(kept) - set(forged):
                del forged[key]
            result_file.write(self._run, forged, self._alpha)
        else:
            (self._run / "result.json").write_bytes(mutate(rng, [self._bytes]))
        loaded = kernelfit.Experiment.load(self._run)
        loaded.summary()
        said = self._commands._invoke(["predict", str(self._run), "--rows", self._rows])
        if said and loaded.classes != self._classes:
            # Names may be forged, their number may not.
            if len(loaded.classes or ()) != len(self._classes):
                raise Wrong(f"classes {loaded.classes}")
        elif said and loaded.predict(np.load(self._rows)).tolist() != self._answer:
            raise Wrong("another answer")
        return said

    def _needed(self) -> dict[str, Any]:
        """What is read for predictions; most of the record is not."""
        return {key: self._record[key] for key in record.STORED}


class ImagesTarget:
    """A folder of images, one of them damaged."""

    def prepare(self, folder: Path) -> None:
        self._root = folder / "images"
        self._originals = {}
        for form in ("PNG", "JPEG", "BMP", "PPM", "WEBP"):
            for mode in ("L", "RGB"):
                stream = io.BytesIO()
                Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).convert(mode).save(stream, form)
                self._originals[f"{mode}.{form.lower()}"] = stream.getvalue()
        for name, content in self._originals.items():
            path = self._root / ("cat" if name[0] == "L" else "dog") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self._read()

    def run(self, rng: random.Random) -> bool:
        name = rng.choice(list(self._originals))
        path = self._root / ("cat" if name[0] == "L" else "dog") / name
        try:
            path.write_bytes(mutate(rng, [self._originals[name]], (b"\xff\xd8", b"IDAT", b"IHDR", b"65535 ")))
            self._read()
        finally:
            path.write_bytes(self._originals[name])
        return True

    def _read(self) -> None:
        from kernelfit.datasets.image_folder import read_image_folder

        read_image_folder(self._root)


def _damaged(rng: random.Random, data: bytes) -> bytes:
    return mutate(rng, [data])


def _gzipped(rng: random.Random, originals: list[bytes]) -> bytes:
    """A damaged file, sound as gzip."""
    plain = [gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data for data in originals]
    return gzip.compress(mutate(rng, plain), 1)


def _zipped(rng: random.Random, originals: list[bytes]) -> bytes:
    """A sound archive with a damaged member."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(rng.choice(originals))) as whole,
        zipfile.ZipFile(stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive,
    ):
        for name in whole.namelist():
            content = whole.read(name)
            if rng.random() < 0.6:
                content = mutate(rng, [content], _NPY_TOKENS)
            archive.writestr(name, content)
    return stream.getvalue()


def _journal(rng: random.Random, data: bytes) -> bytes:
    """Damaged bytes, or records that make no sense under checksums that are right."""
    if rng.random() < 0.5:
        return mutate(rng, [data], (b"\n", b"\r", b"00000000 {}\n"))
    records = [json.loads(line[9:]) for line in data.splitlines()]
    match rng.choice(("value", "value", "value", "order", "drop", "double")):
        case "order":
            rng.shuffle(records)
        case "drop":
            del records[rng.randrange(len(records))]
        case "double":
            records.insert(rng.randrange(len(records)), rng.choice(records))
        case _:
            index = rng.randrange(len(records))
            records[index] = mutate_json(rng, records[index])
    return b"".join(
        b"%08x %s\n" % (zlib.crc32(text), text) for text in (_dumped(record) for record in records)
    )


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode(errors="replace")


def _sealed_meta(form: str) -> Callable[[random.Random, bytes], bytes]:
    """Damaged bytes, or a description that makes no sense under a checksum that is right."""

    def damage(rng: random.Random, data: bytes) -> bytes:
        if rng.random() < 0.4:
            return mutate(rng, [data])
        change = mutate_json if rng.random() < 0.3 else forge
        with h5py.File(io.BytesIO(data), "r") as file:
            meta = json.loads(file["meta"][()])
            arrays = {key: file[key][()] for key in file if key != "meta"}
            version = int(file.attrs["version"])
        stream = io.BytesIO()
        with h5py.File(stream, "w", userblock_size=hdf5._HEAD) as file:
            file.attrs["version"] = rng.choice((version, version, version, 0, -1, 99))
            file["meta"] = np.bytes_(json.dumps(change(rng, meta)))
            for key, array in arrays.items():
                file[key] = _odd_array(rng, array) if rng.random() < 0.1 else array
        return _seal(form, stream.getvalue())

    return damage


def _odd_array(rng: random.Random, array: np.ndarray) -> np.ndarray:
    match rng.randrange(7):
        case 0:
            return array[:-1]
        case 1:
            return array.reshape(-1)
        case 2:
            return array.astype(np.float32)
        case 3:
            return np.zeros((0, *array.shape[1:]), array.dtype)
        case 4:
            return np.full_like(array, np.nan if array.dtype.kind == "f" else -1)
        case 5:
            return np.zeros((1,) * 5)
        case _:
            return np.array([b"text"])


def _seal(form: str, content: bytes) -> bytes:
    """The file with the checksum of what it holds now."""
    import hashlib

    digest = hashlib.blake2b(content[hdf5._HEAD :], digest_size=16).hexdigest()
    head = hdf5.header(form, digest)
    return head + content[len(head) :]


def _forged_hdf5(rng: random.Random, data: bytes) -> bytes:
    """HDF5 structures that make no sense under a checksum that is right."""
    head, body = data[: hdf5._HEAD], data[hdf5._HEAD :]
    return _seal(solution_file.FORMAT, head + mutate(rng, [body]))


def _idx() -> list[bytes]:
    array = np.arange(24, dtype=np.uint8)
    plain = bytes((0, 0, 8, 3)) + struct.pack(">3I", 2, 3, 4) + array.tobytes()
    return [plain, gzip.compress(plain)]


def _cifar_binary() -> list[bytes]:
    rng = np.random.default_rng(3)
    return [b"".join(bytes([label]) + rng.bytes(3072) for label in range(2))]


class _Malice:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {CANARY}",)


def _batch(malicious: bool = False) -> dict[str, Any]:
    planes = np.random.default_rng(4).integers(0, 256, (2, 3072), dtype=np.uint8)
    return (
        {"labels": [3, 7], "data": planes, "more": _Malice()}
        if malicious
        else {"labels": [3, 7], "data": planes}
    )


def _cifar_pickle() -> list[bytes]:
    return [
        pickle.dumps(_batch(), protocol=2),
        pickle.dumps(_batch(), protocol=4),
        pickle.dumps(_batch(malicious=True), protocol=2),
        pickle.dumps(_batch(malicious=True), protocol=4),
    ]


def _cifar_archive() -> list[bytes]:
    made = []
    content = pickle.dumps(_batch(), protocol=2)
    for names in (
        ("cifar-10-batches-py/data_batch_1", "cifar-10-batches-py/test_batch"),
        ("../../data_batch_1", f"/tmp/{CANARY}/test_batch"),
    ):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            link = tarfile.TarInfo("data_batch_1")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            if ".." in names[0]:
                archive.addfile(link)
        made += [gzip.compress(stream.getvalue(), 1), stream.getvalue()]
    return made


def _npz() -> list[bytes]:
    X, y = np.arange(24.0).reshape(6, 4), np.array([0, 1, 2, 0, 1, 2])
    made = []
    for save, arrays in (
        (np.savez, {"X": X, "y": y}),
        (np.savez_compressed, {"x_train": X, "y_train": y}),
        (np.savez, {"X": X, "y": np.array([_Malice()] * 6, dtype=object)}),
    ):
        stream = io.BytesIO()
        save(stream, **arrays)
        made.append(stream.getvalue())
    return made


def _npy() -> list[bytes]:
    made = []
    for array in (np.arange(24.0).reshape(6, 4), np.array([_Malice()] * 3, dtype=object)):
        stream = io.BytesIO()
        np.save(stream, array)
        made.append(stream.getvalue())
    return made


def _hdf5() -> list[bytes]:
    X = np.arange(24.0).reshape(6, 4)
    made = []
    for labels in (np.array([0, 1, 2, 0, 1, 2]), np.array(["a", "b", "c"] * 2, dtype=object)):
        for options in ({}, {"chunks": (2, 2), "compression": "gzip"}):
            stream = io.BytesIO()
            with h5py.File(stream, "w", libver="latest" if options else "earliest") as file:
                file.create_dataset("X", data=X, **options)
                file.create_dataset("y", data=labels)
            made.append(stream.getvalue())
    return made


def _csv() -> list[bytes]:
    return [b"a,b,label\n1,2,0\n3,4,1\n", b"1;2;3\n4;5;6\n", b'"x"\t"y"\n1e3\tnan\n', b"1,2\n3,4\n5,6\n"]


def targets() -> dict[str, Any]:
    """Every target by its name."""
    from kernelfit.datasets.archive import read_archive
    from kernelfit.datasets.cifar import decode_python, read_binary_batch, read_python_batch
    from kernelfit.datasets.hdf5 import read_hdf5
    from kernelfit.datasets.idx import read_idx
    from kernelfit.datasets.new_rows import read_rows
    from kernelfit.datasets.npz import read_npz
    from kernelfit.datasets.table import read_table

    names = ("data_batch_1", "test_batch")
    opcodes = (b"c__builtin__\neval\n", b"cos\nsystem\n", b"R", b"b", b".", b"\x93", b"(", b"\x81")
    return {
        "idx": FileTarget("file", lambda path: read_idx(path, 3), _idx, pack=_gzipped),
        "cifar binary": FileTarget("file.bin", read_binary_batch, _cifar_binary),
        "cifar pickle": FileTarget("data_batch_1", read_python_batch, _cifar_pickle, opcodes),
        "cifar archive": FileTarget(
            "file.tar.gz",
            lambda path: read_archive(path, names, decode_python),
            _cifar_archive,
            pack=_gzipped,
        ),
        "npz": FileTarget("file.npz", read_npz, _npz, (b"PK\x03\x04", b"PK\x05\x06"), _zipped),
        "npy": FileTarget("file.npy", read_rows, _npy, _NPY_TOKENS),
        "hdf5": FileTarget("file.h5", read_hdf5, _hdf5, (b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR")),
        "csv": FileTarget(
            "file.csv", read_table, _csv, (b",", b"\n", b'"', b"\r", b"1e999", b"\x00", b"\xff")
        ),
        "rows csv": FileTarget("rows.csv", read_rows, _csv, (b",", b"\n", b'"', b"\r", b"1e999", b"\x00")),
        "image folder": ImagesTarget(),
        "solution": SolutionTarget(_sealed_meta(solution_file.FORMAT), forged=True),
        "solution, damaged": SolutionTarget(_damaged, forged=False),
        "solution, forged HDF5": SolutionTarget(_forged_hdf5, forged=True),
        "panels": RunTarget("factor.h5", _damaged),
        "journal": RunTarget("journal", _journal),
        "run": RunTarget("run.h5", _sealed_meta(run_file.FORMAT)),
        "result": ResultTarget(),
        "command line": CommandTarget(),
    }
