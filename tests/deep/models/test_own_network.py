"""Networks of one's own: by name, with what they need, in one line where they do not fit."""

import importlib
import sys

import pytest

torch = pytest.importorskip("torch")

from kernelfit.deep.models.build import build, wheels  # noqa: E402
from kernelfit.deep.own_network import source_digest  # noqa: E402
from kernelfit.deep.recipe import Recipe, check_sources, default  # noqa: E402
from kernelfit.errors import InputError  # noqa: E402

NETS = """
from torch import nn

class Net(nn.Module):
    def __init__(self, shape, n_classes, dropout=0.0):
        super().__init__()
        height, width, channels = shape
        self.linear = nn.Linear(height * width * channels, n_classes)
        self.dropout = nn.Dropout(dropout)
    def forward(self, x):
        return self.linear(self.dropout(x.flatten(1)))

def fixed(n_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(12, n_classes))

def raising(shape):
    raise ValueError("two\\nlines")

def narrow():
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 3))

def number():
    return 3

def eight(n_classes):
    return nn.Sequential(nn.Unflatten(0, (8, -1)), nn.Flatten(2), nn.Linear(48, n_classes), nn.Flatten(0, 1))

class Squeezing(Net):
    def forward(self, x):
        return super().forward(x).squeeze()

class Mute(Net):
    def train(self, mode=True):
        super().train(mode)
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """The file of a module `ownnets` that Python finds."""
    path = tmp_path / "ownnets.py"
    path.write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ownnets", raising=False)
    yield path
    sys.modules.pop("ownnets", None)


def test_a_class_gets_what_it_takes_and_its_weights_come_from_the_seed(nets):
    one, same, other = (
        build("ownnets:Net", shape=(4, 4, 3), n_classes=5, dropout=0.25, seed=seed) for seed in (1, 1, 2)
    )
    assert one.dropout.p == 0.25
    assert one.training
    assert torch.equal(one.linear.weight, same.linear.weight)
    assert not torch.equal(one.linear.weight, other.linear.weight)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "ownnets:fixed",
            {},
            r"model: ownnets:fixed cannot take 2 images of 3 x 4 x 4 \(.*\); expected logits for any number of",
        ),
        (
            "ownnets:eight",
            {},
            r"cannot take 2 images of 3 x 4 x 4 \(.*\); expected logits for any number of images",
        ),
        ("ownnets:Squeezing", {}, r"gives \(5,\) for 1 image, expected logits of shape \(1, 5\)"),
        ("ownnets:fixed", {"dropout": 0.5}, "dropout: got 0.5, but ownnets:fixed takes no argument dropout"),
        ("ownnets:raising", {}, r"model: ownnets:raising\(shape\) raised ValueError: two lines"),
        ("ownnets:narrow", {}, r"gives \(2, 3\) for 2 images, expected logits of shape \(2, 5\)"),
        ("ownnets:number", {}, r"ownnets:number gives int, expected an nn\.Module"),
        ("ownnets:Mute", {}, "ownnets:Mute has a method eval that does not give the network itself"),
        ("ownnets:gone", {}, "ownnets:gone cannot be imported"),
        ("nowhere.nets:build", {}, r"nowhere\.nets:build cannot be imported"),
        ("resnet", {}, r"model: got 'resnet', expected one of inception, .* for your own"),
    ],
)
def test_networks_that_do_not_fit(nets, name, changes, message):
    with pytest.raises(InputError, match=message) as raised:
        build(name, shape=(4, 4, 3), n_classes=5, **changes)
    assert "\n" not in str(raised.value)


def test_a_module_that_ends_python_is_named(nets):
    nets.write_text("import sys\n\nsys.exit(3)\n")
    with pytest.raises(InputError, match=r"ownnets:Net cannot be imported \(SystemExit: 3\)"):
        build("ownnets:Net", shape=(4, 4, 3))


def test_a_recipe_belongs_to_the_code_of_its_network(nets):
    first = default("ownnets:Net", epochs=2)
    assert first.rates == (0.01,)
    assert first.network_source
    assert Recipe.from_json(first.to_json()) == first
    assert ":" not in first.key
    nets.write_text(NETS + "# changed\n")
    assert default("ownnets:Net", epochs=2).key != first.key
    with pytest.raises(InputError, match="weight_decay: ownnets:Net has no coefficient of its own"):
        default("ownnets:Net", weight_decay=True)
    with pytest.raises(InputError, match="expected a module that Python finds"):
        default("nonets:Net")


def test_a_module_that_was_imported_before_its_file_changed_makes_no_network(nets):
    before = default("ownnets:Net")
    build("ownnets:Net", shape=(4, 4, 3))
    nets.write_text(NETS + "# changed\n")
    with pytest.raises(InputError, match="the code of ownnets has changed since Python imported it; restart"):
        build("ownnets:Net", shape=(4, 4, 3))
    importlib.reload(sys.modules["ownnets"])
    build("ownnets:Net", shape=(4, 4, 3))
    check_sources([default("ownnets:Net"), default("alexnet")])
    with pytest.raises(InputError, match="the code of ownnets:Net has changed since its recipe was made"):
        check_sources([before])


def test_the_code_of_a_network_in_a_package_is_that_of_the_package(tmp_path, monkeypatch):
    package = tmp_path / "ownpackage"
    (package / "parts" / ".checkpoints").mkdir(parents=True)
    for name in ("__init__.py", "nets.py", "parts/layers.py"):
        (package / name).write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    names = ("ownpackage:build", "ownpackage.nets:build", "ownpackage.parts.layers:build")
    try:
        first = [source_digest(name) for name in names]
        (package / "parts" / ".checkpoints" / "layers.py").write_text("an editor's copy")
        assert [source_digest(name) for name in names] == first
        (package / "parts" / "layers.py").write_text("WIDTH = 3")
        second = [source_digest(name) for name in names]
        assert all(one != other for one, other in zip(first, second, strict=True))
        (package / "nets.py").write_text("WIDTH = 4")
        # Without __init__.py a folder is no package, and may hold anything.
        assert [source_digest(name) == one for name, one in zip(names, second, strict=True)] == [
            False,
            False,
            True,
        ]
    finally:
        for name in ("ownpackage", "ownpackage.parts"):
            sys.modules.pop(name, None)


def test_where_a_torchvision_that_fits_comes_from():
    assert wheels("2.8.0+cpu") == "https://download.pytorch.org/whl/cpu"
    assert wheels("2.8.0+cu128") == "https://download.pytorch.org/whl/cu128"
    assert wheels("2.8.0") == "https://pypi.org/simple"
