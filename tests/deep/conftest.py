"""A CPU build of torch without torchvision's operators: they are declared so that torchvision can be imported."""

from __future__ import annotations

import pytest

OPERATORS = (
    "nms(Tensor a, Tensor b, float c) -> Tensor",
    "qnms(Tensor a, Tensor b, float c) -> Tensor",
    "roi_align(Tensor a, Tensor b, float c, SymInt d, SymInt e, int f, bool g) -> Tensor",
    "qroi_align(Tensor a, Tensor b, float c, SymInt d, SymInt e, int f, bool g) -> Tensor",
    "_roi_align_backward(Tensor a, Tensor b, float c, SymInt d, SymInt e, SymInt f, SymInt g, SymInt h, "
    "SymInt i, int j, bool k) -> Tensor",
    "roi_pool(Tensor a, Tensor b, float c, SymInt d, SymInt e) -> (Tensor, Tensor)",
    "_roi_pool_backward(Tensor a, Tensor b, Tensor c, float d, SymInt e, SymInt f, SymInt g, SymInt h, "
    "SymInt i, SymInt j) -> Tensor",
    "ps_roi_align(Tensor a, Tensor b, float c, SymInt d, SymInt e, int f) -> (Tensor, Tensor)",
    "_ps_roi_align_backward(Tensor a, Tensor b, Tensor c, float d, SymInt e, SymInt f, int g, SymInt h, "
    "SymInt i, SymInt j, SymInt k) -> Tensor",
    "ps_roi_pool(Tensor a, Tensor b, float c, SymInt d, SymInt e) -> (Tensor, Tensor)",
    "_ps_roi_pool_backward(Tensor a, Tensor b, Tensor c, float d, SymInt e, SymInt f, SymInt g, SymInt h, "
    "SymInt i, SymInt j) -> Tensor",
    "deform_conv2d(Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, SymInt f, SymInt g, SymInt h, SymInt i, "
    "SymInt j, SymInt k, SymInt l, SymInt m, bool n) -> Tensor",
    "_deform_conv2d_backward(Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, Tensor f, SymInt g, SymInt h, "
    "SymInt i, SymInt j, SymInt k, SymInt l, SymInt m, SymInt n, bool o) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)


def declare_operators() -> list[object]:
    """Declare those of `OPERATORS` that are missing; the result must be held."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in OPERATORS:
        name = schema.split("(")[0]
        if not torch._C._dispatch_has_kernel(f"torchvision::{name}"):
            library.define(schema)
    return [library]


@pytest.fixture(scope="session")
def torchvision_operators():
    """Makes `import torchvision` possible."""
    pytest.importorskip("torch")
    library = declare_operators()
    yield
    del library


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors gain nothing from threads, and one thread keeps rounding the same on every machine."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
