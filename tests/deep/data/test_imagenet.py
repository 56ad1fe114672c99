"""Image folders: labels, augmentation and refusals; two processes against one."""

import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

torch = pytest.importorskip("torch")

from kernelfit.deep.data.image_files import decode, find_images  # noqa: E402
from kernelfit.deep.data.imagenet import Images, central  # noqa: E402
from kernelfit.deep.recipe import default  # noqa: E402
from kernelfit.deep.training import results, sweep  # noqa: E402
from kernelfit.deep.training.hardware import Hardware  # noqa: E402
from kernelfit.deep.world import World  # noqa: E402
from kernelfit.errors import DataError, InputError  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def image_root(tmp_path_factory):
    """Sixteen training and eight validation pictures in four classes, of different sizes."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for part, count in (("train", 4), ("val", 2)):
        for code in range(4):
            folder = root / part / f"n{code:08d}"
            folder.mkdir(parents=True)
            for k in range(count):
                pixels = rng.integers(0, 256, (20 + 3 * k, 24, 3), dtype=np.uint8)
                pixels[..., code % 3] //= 4
                Image.fromarray(pixels).save(folder / f"{k}.png")
    return root


def recipe(**changes):
    return default("inception-v3", **{"side": 12, "batch": 4, "epochs": 2, **changes})


def rows_of(folders, epoch, world=None, first=0):
    order = torch.arange(folders.n)[None]
    return list(folders.batches(epoch, order, first, 4, world or World()))


def test_labels_follow_the_sorted_paths_and_stay(image_root):
    true = Images(recipe(), image_root, CPU)
    assert true.labels[0].tolist() == [code for code in range(4) for _ in range(4)]
    random = [Images(recipe(corruption="random-labels"), image_root, CPU, workers=w) for w in (0, 2)]
    assert torch.equal(random[0].labels, random[1].labels)
    assert not torch.equal(random[0].labels, true.labels)
    assert torch.equal(random[0].test_labels, true.test_labels)
    for epoch in (0, 1):
        labels = torch.cat([y[0] for _, y, _ in rows_of(random[0], epoch)])
        assert torch.equal(labels, random[0].labels[0])


def test_images_stand_upright_and_hidden_files_are_no_images(tmp_path):
    pixels = np.kron(np.array([[0, 255]], np.uint8), np.ones((8, 8), np.uint8))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for name in ("a", "b", ".ipynb_checkpoints"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "1.png", exif=exif)
        (tmp_path / name / "._1.png").write_bytes(b"a resource fork")
    files = find_images(tmp_path)
    assert files.classes == ["a", "b"]
    assert [files.name(number) for number in range(len(files.labels))] == ["a/1.png", "b/1.png"]
    np.testing.assert_array_equal(np.asarray(decode(files, 0))[..., 0], np.rot90(pixels, -1))


@pytest.fixture(scope="session")
def shard_root(tmp_path_factory, image_root):
    """The same pictures as two uncompressed tars a part, in webdataset's format."""
    root = tmp_path_factory.mktemp("shards")
    for part in ("train", "val"):
        (root / part).mkdir()
        files = find_images(image_root / part)
        half = len(files.labels) // 2
        for shard in (0, 1):
            with tarfile.open(root / part / f"x-{shard:06d}.tar", "w") as tar:
                for number in range(shard * half, (shard + 1) * half):
                    for suffix, data in (
                        ("png", files.read(number)),
                        ("cls", str(files.labels[number]).encode()),
                    ):
                        member = tarfile.TarInfo(f"some.folder/{number:05d}.{suffix}")
                        member.size = len(data)
                        tar.addfile(member, io.BytesIO(data))
    return root


def test_shards_hold_what_the_folders_hold(image_root, shard_root):
    options = {"corruption": "random-labels", "augment": True}
    folders = Images(recipe(**options), image_root, CPU)
    shards = Images(recipe(**options), shard_root, CPU, workers=2)
    assert torch.equal(folders.labels, shards.labels)
    assert torch.equal(folders.test_labels, shards.test_labels)
    assert (folders.n_classes, folders.shape) == (shards.n_classes, shards.shape)
    for one, other in zip(rows_of(folders, 1), rows_of(shards, 1), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    # Read out of order too: from the second batch on, as after a resume.
    late = rows_of(shards, 1, first=1)
    assert torch.equal(late[0][0], rows_of(folders, 1)[1][0])


def write_tar(path, members, mode="w"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def test_shards_that_cannot_be_used(tmp_path):
    train, val = tmp_path / "train" / "a.tar", tmp_path / "val" / "a.tar"
    write_tar(train, [("a.jpg", b"x")])
    with pytest.raises(DataError, match=r"no a\.cls beside a"):
        Images(recipe(), tmp_path, CPU)
    write_tar(train, [("a.jpg", b"x"), ("a.cls", b"first")])
    with pytest.raises(DataError, match="cannot be read as an uncompressed tar"):
        Images(recipe(), tmp_path, CPU)
    write_tar(train, [("a.jpg", b"x"), ("a.cls", b"1")], "w:gz")
    with pytest.raises(DataError, match="cannot be read as an uncompressed tar"):
        Images(recipe(), tmp_path, CPU)
    write_tar(train, [("a.jpg", b"x"), ("a.cls", b"0")])
    with pytest.raises(DataError, match="1 images of 1 classes"):
        Images(recipe(), tmp_path, CPU)
    write_tar(train, [("a.jpg", b"x"), ("a.cls", b"1")])
    write_tar(val, [("a.jpg", b"x"), ("a.cls", b"2")])
    with pytest.raises(DataError, match="class codes 2 to 2, expected 0 to 1"):
        Images(recipe(), tmp_path, CPU)
    write_tar(val, [("a.jpg", b"x"), ("a.cls", b"0")])
    with pytest.raises(DataError, match=r"a\.tar:a cannot be decoded"):
        rows_of(Images(recipe(), tmp_path, CPU), 0)


@pytest.mark.parametrize("code", [b"9" * 30, b"50000000", b"100000", b"-1", b"", b"1_0", b"0" * 10_000])
def test_class_codes_that_would_build_absurd_networks(code, tmp_path):
    write_tar(tmp_path / "train" / "a.tar", [("a.jpg", b"x"), ("a.cls", code)])
    with pytest.raises(DataError, match=r"a\.tar cannot be read .* expected a class code from 0 to 99999"):
        Images(recipe(), tmp_path, CPU)


def test_two_images_of_one_key(tmp_path):
    write_tar(tmp_path / "train" / "a.tar", [("a.jpg", b"x"), ("a.png", b"y"), ("a.cls", b"1")])
    with pytest.raises(DataError, match=r"a\.png: expected one image of this key"):
        Images(recipe(), tmp_path, CPU)


def made_png(width, height):
    """A PNG that claims to be of this size, in a few hundred bytes."""
    out = io.BytesIO()
    Image.new("RGB", (1, 1)).save(out, "png")
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = out.getvalue()
    body = b"IHDR" + header
    return start[:8] + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + start[33:]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (made_png(30_000, 30_000), r"a/0\.png .* more than 67,108,864 pixels"),
        (made_png(10_000, 10_000), r"a/0\.png cannot be decoded \(10000 x 10000 is more than"),
        (made_png(12, 12), r"a/0\.png cannot be decoded"),
        (b"", r"a/0\.png cannot be decoded"),
    ],
)
def test_images_that_cannot_be_decoded_are_named_in_one_line(tmp_path, content, message, workers):
    for part in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            (tmp_path / part / name / "0.png").write_bytes(content)
    with pytest.raises(DataError, match=message) as raised:
        rows_of(Images(recipe(), tmp_path, CPU, workers=workers), 0)
    assert "\n" not in str(raised.value)


def test_a_pipe_among_the_images_is_not_waited_for(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    os.mkfifo(tmp_path / "a" / "0.png")
    with pytest.raises(DataError, match=r"a/0\.png is not a regular file"):
        find_images(tmp_path).read(0)


def test_sixteen_bits_are_not_cut_to_eight_in_silence(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.fromarray(np.full((9, 9), 40_000, dtype=np.uint16)).save(tmp_path / "train" / name / "0.png")
    (tmp_path / "val").symlink_to(tmp_path / "train")
    with pytest.raises(DataError, match="8 bits a channel"):
        rows_of(Images(recipe(), tmp_path, CPU), 0)


def test_fewer_images_are_taken_from_all_classes(image_root):
    few = Images(recipe(n=4, n_test=4), image_root, CPU)
    assert few.labels[0].tolist() == [0, 1, 2, 3]
    assert few.test_labels[0].tolist() == [0, 1, 2, 3]
    full = Images(recipe(n=1000), image_root, CPU)
    picked = torch.cat([x[0] for x, _, _ in rows_of(few, 0)])
    assert torch.equal(picked, torch.cat([x[0] for x, _, _ in rows_of(full, 0)])[::4])


def test_augmentation_depends_on_seed_epoch_and_image_alone(image_root):
    alone, helped = (Images(recipe(augment=True), image_root, CPU, workers=w) for w in (0, 2))
    first = torch.cat([x[0] for x, _, _ in rows_of(alone, 0)])
    assert torch.equal(first, torch.cat([x[0] for x, _, _ in rows_of(helped, 0)]))
    assert torch.equal(first[8:], torch.cat([x[0] for x, _, _ in rows_of(alone, 0, first=2)]))
    assert not torch.equal(first, torch.cat([x[0] for x, _, _ in rows_of(alone, 1)]))
    plain = torch.cat([x[0] for x, _ in alone.evaluation("train", 5, World())])
    assert torch.equal(plain, torch.cat([x[0] for x, _, _ in rows_of(Images(recipe(), image_root, CPU), 3)]))
    assert first.shape == (16, 3, 12, 12)
    assert -1 <= first.min() < first.max() <= 1


def test_processes_share_the_rows_of_a_batch(image_root):
    folders = Images(recipe(), image_root, CPU)
    parts = [[rows[0].tolist() for _, _, rows in rows_of(folders, 0, World(rank, 2))] for rank in (0, 1)]
    assert parts[0][0] == [0, 2]
    assert parts[1][0] == [1, 3]
    found = [torch.cat([y[0] for _, y in folders.evaluation("test", 3, World(rank, 2))]) for rank in (0, 1)]
    assert sorted(torch.cat(found).tolist()) == sorted(folders.test_labels[0].tolist())


def test_the_central_square():
    pixels = np.zeros((40, 80, 3), dtype=np.uint8)
    pixels[3:37, 23:57] = 255  # 87.5 % of 40 is 35, from row 2 and column 22
    assert np.asarray(central(Image.fromarray(pixels), 35)).mean() > 230


def test_refusals(image_root, tmp_path):
    with pytest.raises(InputError, match="images: ImageNet needs the folder"):
        Images(recipe(), None, CPU)
    with pytest.raises(DataError, match="is not a folder"):
        Images(recipe(), tmp_path, CPU)
    with pytest.raises(InputError, match="corruption: gaussian"):
        Images(recipe(corruption="gaussian"), image_root, CPU)
    (tmp_path / "train" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match="holds 0 images"):
        Images(recipe(), tmp_path, CPU)
    for part, name in (("train", "a"), ("train", "b"), ("val", "a")):
        (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / part / name / "x.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"x\.png cannot be decoded"):
        rows_of(Images(recipe(), tmp_path, CPU), 0)
    (tmp_path / "val" / "c").mkdir()
    with pytest.raises(DataError, match="a class that train/ lacks"):
        Images(recipe(), tmp_path, CPU)


SHIM = """
import sys
sys.path.insert(0, {folder!r})
import conftest
library = conftest.declare_operators()
"""


def trained(folder, run, root, processes, *, shim=False, evaluate_every=1):
    """What a user types, with torchrun for several processes; the result. `shim` makes torchvision importable."""
    folder.mkdir()
    path = [str(Path(__file__).parents[3])]
    if shim:
        (folder / "sitecustomize.py").write_text(SHIM.format(folder=str(Path(__file__).parents[1])))
        path.insert(0, str(folder))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), str(Path(sys.executable).with_name("kernelfit"))]
    command += ["deep", "train", "--model", run.model, "--images", str(root), "--corruption", run.corruption]
    command += ["--side", str(run.side), "--batch", str(run.batch), "--epochs", str(run.epochs)]
    command += ["--rate", str(run.rates[0]), "--device", "cpu", "--threads", "1", "--out", str(folder)]
    command += ["--evaluate-every", str(evaluate_every)] + (["--augment"] if run.augment else [])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=800, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("ended") == 1  # one process reports
    return json.loads((folder / run.key / "result.json").read_text())


def compare(one, two):
    for single, shared in zip(one["history"], two["history"], strict=True):
        assert shared["loss"] == pytest.approx(single["loss"], rel=1e-3)
        assert shared["test_loss"] == pytest.approx(single["test_loss"], rel=1e-2)
        assert shared["test_accuracy"] == pytest.approx(single["test_accuracy"], abs=0.13)


def test_two_processes_give_the_loss_of_one(tmp_path, image_root):
    # The small Inception has batch normalisation; a small rate keeps rounding from growing.
    run = default(
        "inception",
        dataset="imagenet",
        corruption="random-labels",
        side=8,
        batch=8,
        epochs=2,
        rates=(0.01,),
        augment=True,
    )
    outcomes, _ = sweep.train(
        [run], str(tmp_path / "one"), hardware=Hardware(device="cpu"), data_dir=str(image_root)
    )
    two = trained(tmp_path / "two", run, image_root, 2)
    compare(results.record(outcomes[0], Hardware(device="cpu")), two)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_inception_v3_in_two_processes_gives_the_loss_of_one(tmp_path, image_root, torchvision_operators):
    run = default("inception-v3", corruption="random-labels", batch=16, epochs=2, rates=(1e-3,))
    one = trained(tmp_path / "one", run, image_root, 1, shim=True, evaluate_every=2)
    two = trained(tmp_path / "two", run, image_root, 2, shim=True, evaluate_every=2)
    losses = [[record["loss"] for record in result["history"]] for result in (one, two)]
    assert losses[1][0] == pytest.approx(losses[0][0], rel=1e-3)
    # 94 normalisations of noise enlarge the rounding of float32: the gradients differ by per cents, those in
    # float64 (below) do not.
    assert losses[1][1] == pytest.approx(losses[0][1], rel=0.1)
    labels = [
        torch.load(tmp_path / name / run.key / "rate-0.001" / "checkpoint.pt", weights_only=True)["labels"]
        for name in ("one", "two")
    ]
    assert torch.equal(*labels)


GRADIENTS = """
import copy, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, {shim!r})
import conftest
library = conftest.declare_operators()
import torch.distributed as dist
from torch.nn.functional import cross_entropy
from kernelfit.deep.models.build import build
from kernelfit.deep.world import share_batch_norm
dist.init_process_group("gloo")
rank = dist.get_rank()
model = build("inception-v3", shape=(299, 299, 3), n_classes=4).double().train()
shared = torch.nn.parallel.DistributedDataParallel(share_batch_norm(copy.deepcopy(model), "cpu"))
x = torch.rand(4, 3, 299, 299, generator=torch.Generator().manual_seed(0), dtype=torch.double)
y = torch.arange(4)
def loss(net, x, y):
    logits, auxiliary = net(x)
    return (cross_entropy(logits, y, reduction="sum") + 0.4 * cross_entropy(auxiliary, y, reduction="sum")) / 4
(2 * loss(shared, x[rank::2], y[rank::2])).backward()
if rank == 0:
    loss(model, x, y).backward()
    pairs = list(zip(model.parameters(), shared.module.parameters(), strict=True))
    off = sum((p.grad - q.grad).square().sum() for p, q in pairs) / sum(p.grad.square().sum() for p, _ in pairs)
    assert off.sqrt() < 1e-9, off
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_gradient_of_inception_v3_over_two_processes_is_that_of_one_in_float64(
    tmp_path, torchvision_operators
):
    script = tmp_path / "process.py"
    script.write_text(GRADIENTS.format(shim=str(Path(__file__).parents[1])))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=800)
    assert done.returncode == 0, done.stderr[-3000:]
