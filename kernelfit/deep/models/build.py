"""The paper's models by name, with their parameter counts as the first test.

    inception          1,649,402      small Inception, batch normalisation with shift only
    inception-no-bn    1,649,402      the same with biases instead
    alexnet            1,387,786      two convolutions with local response normalisation, three linear layers
    mlp-3x512          1,735,178      three hidden layers of 512 ReLU
    mlp-1x512          1,209,866      one
    inception-v3                      torchvision's, for ImageNet

Counts are for 28 x 28 x 3 inputs and ten classes.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator

import torch
from torch import nn

from kernelfit.deep import own_network
from kernelfit.deep.models.alexnet import SmallAlexNet
from kernelfit.deep.models.inception import SmallInception
from kernelfit.deep.models.mlp import MLP
from kernelfit.deep.options import MODELS
from kernelfit.deep.recipe import check_model
from kernelfit.errors import InputError, KernelfitError

INCEPTION_V3_SIDE = (
    299  # of fewer pixels its auxiliary head is left with maps smaller than its kernel of 5 x 5
)
HIDDEN = {"mlp-1x512": (512,), "mlp-3x512": (512, 512, 512)}


def build(
    name: str,
    *,
    shape: tuple[int, int, int] = (28, 28, 3),
    n_classes: int = 10,
    dropout: float = 0.0,
    seed: int = 0,
) -> nn.Module:
    """A freshly initialised model; the same seed gives the same weights.

    shape is (height, width, channels) of the images; models take (B, channels, height, width) and return logits
    (B, n_classes). `inception-v3` needs torchvision, takes 299 x 299 x 3 and more, and returns (logits, auxiliary
    logits) while training. Any other name is `package.module:function`, a network of one's own
    (`kernelfit.deep.own_network`). Raises InputError for an unknown name and for images that the network cannot take.
    """
    check_model(name)
    check_network(name, shape)
    if not 0 <= dropout < 1:
        raise InputError(f"dropout: got {dropout}, expected a share in [0, 1)")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name not in MODELS:
            return _own(name, shape, n_classes, dropout)
        if name in HIDDEN:
            return MLP(math.prod(shape), HIDDEN[name], n_classes, dropout)
        if name == "alexnet":
            return SmallAlexNet(shape, n_classes, dropout)
        if name == "inception-v3":
            return _inception_v3(n_classes, dropout)
        return SmallInception(shape[2], n_classes, norm=name == "inception", dropout=dropout)


def check_network(name: str, shape: tuple[int, int, int]) -> None:
    """Raise InputError where `inception-v3` cannot be made here or for images of this (height, width, channels); our
    other networks can.
    """
    if name != "inception-v3":
        return
    height, width, channels = shape
    if min(height, width) < INCEPTION_V3_SIDE or channels != 3:
        raise InputError(
            f"model: inception-v3 got images of {height} x {width} x {channels}, expected three channels of at least "
            f"{INCEPTION_V3_SIDE} x {INCEPTION_V3_SIDE}; take a larger side or another model"
        )
    _torchvision_inception()


def _own(name: str, shape: tuple[int, int, int], n_classes: int, dropout: float) -> nn.Module:
    """A network of one's own, once it has answered two images with logits, and one: a last batch may have one row."""
    model = own_network.make(name, shape=shape, n_classes=n_classes, dropout=dropout)
    if not isinstance(model, nn.Module):
        raise InputError(f"model: {name} gives {type(model).__name__}, expected an nn.Module")
    for mode in (model.eval, model.train):
        if mode() is not model:
            raise InputError(
                f"model: {name} has a method {mode.__name__} that does not give the network itself, as torch's do; add "
                "return self"
            )
    model.eval()
    for rows in (2, 1):
        _check_logits(name, model, (rows, shape[2], *shape[:2]), n_classes)
    return model.train()


def _check_logits(name: str, model: nn.Module, shape: tuple[int, int, int, int], n_classes: int) -> None:
    """Raise InputError where the network has no logits for blank images of `shape` (B, channels, height, width)."""
    rows, *each = shape
    images = f"{rows} image{'s' if rows > 1 else ''}"
    try:
        with torch.no_grad():
            out = model(torch.zeros(shape))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"model: {name} cannot take {images} of {' x '.join(map(str, each))} ({reason}); expected logits for any "
            "number of images"
        ) from error
    if not isinstance(out, torch.Tensor) or out.shape != (rows, n_classes):
        shown = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise InputError(
            f"model: {name} gives {shown} for {images}, expected logits of shape ({rows}, {n_classes})"
        )


@contextlib.contextmanager
def faults_named(name: str, when: str) -> Iterator[None]:
    """Within the block, whatever a network of the user's own raises is an InputError of one line that names it."""
    try:
        yield
    except (KernelfitError, MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:
        if not own_network.is_own(name):
            raise
        raise InputError(
            f"model: {name} failed {when} ({own_network.in_one_line(error)}); mend it, and train again: what is stored "
            "in the folder goes on"
        ) from error


def draws(model: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Whether the network takes random numbers from torch while it trains, as dropout does."""
    height, width, channels = shape
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before = torch.get_rng_state()
        model.train()(torch.zeros(2, channels, height, width))
        return not torch.equal(before, torch.get_rng_state())


def channels_last_fault(model: nn.Module, shape: tuple[int, int, int]) -> str | None:
    """Why a step of this network on channels-last images fails, in one line; None where it does not.

    A `view` of what a convolution gives, and convolutions of three dimensions, want the usual order. The network is
    spent: it has gradients, and other batch-norm statistics.
    """
    height, width, channels = shape
    images = torch.zeros(2, channels, height, width).contiguous(memory_format=torch.channels_last)
    with torch.random.fork_rng(devices=[]):
        try:
            out = model.train().to(memory_format=torch.channels_last)(images)
            (out[0] if isinstance(out, tuple) else out).sum().backward()
        except Exception as error:  # the network's own code may raise anything
            return own_network.in_one_line(error)
    return None


def hides_state(one: nn.Module, same: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Whether a pass over training images leaves more behind than parameters and stored buffers, or takes chance from
    elsewhere than torch: a resumed run is then not the one that was interrupted. `one` and `same` are drawn from one
    seed; both are spent.
    """
    height, width, channels = shape
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        images = torch.randn(2, channels, height, width)
        one.train()(images)
        same.train().load_state_dict(one.state_dict())
        for mode in (True, False):
            outputs = []
            for net in (one, same):
                torch.manual_seed(1)
                out = net.train(mode)(images)
                outputs.append(out[0] if isinstance(out, tuple) else out)
            if not torch.equal(*(out.nan_to_num() for out in outputs)):
                return True
    return False


def _inception_v3(n_classes: int, dropout: float) -> nn.Module:
    model: nn.Module = _torchvision_inception()(
        weights=None, num_classes=n_classes, aux_logits=True, init_weights=True, dropout=dropout
    )
    return model


def _torchvision_inception() -> Callable[..., nn.Module]:
    """torchvision's constructor; InputError where torchvision is missing or of another torch."""
    try:
        from torchvision.models import inception_v3
    except (ImportError, RuntimeError) as error:  # RuntimeError: its operators were built for another torch
        raise InputError(
            f"model: inception-v3 needs a torchvision that was built for torch {torch.__version__} ({error}); "
            f"pip install --force-reinstall --no-deps torchvision --index-url {wheels(torch.__version__)}"
        ) from None
    constructor: Callable[..., nn.Module] = inception_v3
    return constructor


def wheels(version: str) -> str:
    """Where torch of this version came from, and where a torchvision that fits it is: `2.8.0+cpu` from .../whl/cpu."""
    build = version.partition("+")[2]
    return f"https://download.pytorch.org/whl/{build}" if build else "https://pypi.org/simple"
