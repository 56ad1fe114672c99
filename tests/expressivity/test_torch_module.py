"""The torch export computes the same function with the same parameters."""

import numpy as np
import pytest

from kernelfit.expressivity import fit

torch = pytest.importorskip("torch")
ExplicitNetwork = pytest.importorskip("kernelfit.expressivity.torch_module").ExplicitNetwork


@pytest.mark.parametrize(
    ("variant", "depth"), [("plain", 2), ("plain", 5), ("clipped", 5), ("multiplexer", 6)]
)
def test_export(rng, variant, depth):
    X = rng.integers(0, 256, (300, 12), dtype=np.uint8)
    y = rng.standard_normal((300, 2))
    network = fit(X, y, depth=depth, variant=variant)
    module = ExplicitNetwork(network)
    with torch.no_grad():
        out = module(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(out, network.predict(X), atol=1e-8)
    np.testing.assert_allclose(out, y, atol=1e-7)
    assert sum(p.numel() for p in module.parameters()) == 12 + 300 + 2 * 300
    restored = ExplicitNetwork(fit(X[:, ::-1], -y, depth=depth, variant=variant))
    restored.load_state_dict(module.state_dict())
    with torch.no_grad():
        np.testing.assert_array_equal(restored(torch.from_numpy(X)).numpy(), out)
