"""Batch normalisation over processes, in a world of one; two processes are in test_imagenet.py."""

import pytest

torch = pytest.importorskip("torch")

import torch.distributed as dist  # noqa: E402

from kernelfit.deep.world import SharedBatchNorm, World, joined, share_batch_norm  # noqa: E402


@pytest.fixture
def process_group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_shared_batch_normalisation_is_torchs(process_group, affine, momentum):
    x = (torch.randn(8, 3, 5, 5, dtype=torch.double) * 1e-2 + 4).requires_grad_()
    outside = torch.randn(8, 3, 5, 5, dtype=torch.double)
    results = []
    for shared in (False, True):
        torch.manual_seed(0)
        norm = torch.nn.BatchNorm2d(3, eps=0.001, affine=affine, momentum=momentum).double()
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


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as world:
        assert world == World(0, 1)
        assert world.leads
        assert world.total(torch.ones(2)).tolist() == [1, 1]
    assert not dist.is_initialized()
