"""Batch normalisation over processes, in a world of one; two processes are in test_imagenet.py."""

import copy

import pytest

torch = pytest.importorskip("torch")

import torch.distributed as dist  # noqa: E402

from kernelfit.deep.world import SharedBatchNorm, World, joined, share_batch_norm  # noqa: E402
from kernelfit.errors import InputError  # noqa: E402


@pytest.fixture
def process_group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


LAYERS = {
    (8, 3, 5, 5): torch.nn.BatchNorm2d,
    (8, 3): torch.nn.BatchNorm1d,
    (8, 3, 7): torch.nn.BatchNorm1d,
    (4, 3, 2, 5, 3): torch.nn.BatchNorm3d,
}


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("shape", LAYERS)
def test_shared_batch_normalisation_is_torchs(process_group, affine, momentum, shape):
    x = (torch.randn(shape, dtype=torch.double) * 1e-2 + 4).requires_grad_()
    outside = torch.randn(shape, dtype=torch.double)
    results = []
    for shared in (False, True):
        torch.manual_seed(0)
        norm = LAYERS[shape](3, eps=0.001, affine=affine, momentum=momentum).double()
        if affine:
            torch.nn.init.normal_(norm.weight)
        net = torch.nn.Sequential(norm)
        net = share_batch_norm(net, "cpu") if shared else net
        assert isinstance(net[0], SharedBatchNorm) == shared
        for _ in range(2):
            out = net(x)
        (gradient,) = torch.autograd.grad((out * outside).sum(), x)
        net.eval()
        results.append([out, gradient, net[0].running_mean, net[0].running_var, net(x)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_statistics_of_bf16_are_float32(process_group):
    x = (torch.randn(64, 3, 5, 5) * 1e-2 + 4).bfloat16().requires_grad_()
    results = []
    for shared in (False, True):
        norm = torch.nn.BatchNorm2d(3)
        net = share_batch_norm(torch.nn.Sequential(norm), "cpu") if shared else torch.nn.Sequential(norm)
        out = net(x)
        (gradient,) = torch.autograd.grad(out.float().square().sum(), x)
        assert out.dtype == gradient.dtype == torch.bfloat16
        assert norm.running_mean.dtype == torch.float32
        results.append([norm.running_mean, norm.running_var, out.float()])
    for one, other, tolerance in zip(*results, (1e-6, 1e-6, 0.02), strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_without_a_group_it_is_torchs_own():
    """After training, when processes have parted."""
    net = torch.nn.Sequential(torch.nn.BatchNorm1d(3))
    alone = share_batch_norm(copy.deepcopy(net), "cpu")
    x = torch.randn(6, 3)
    assert torch.equal(net(x), alone(x))
    assert torch.equal(net[0].running_var, alone[0].running_var)


def test_a_normalisation_that_processes_cannot_share_is_refused():
    class Own(torch.nn.BatchNorm1d):
        pass

    with pytest.raises(InputError, match=r"model: got 0 \(Own\), whose statistics processes cannot share"):
        share_batch_norm(torch.nn.Sequential(Own(3)), "cpu")


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as world:
        assert world == World(0, 1)
        assert world.leads
        assert world.total(torch.ones(2)).tolist() == [1, 1]
    assert not dist.is_initialized()
