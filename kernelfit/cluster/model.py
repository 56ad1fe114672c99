"""How long a solve on a cluster takes, and what it needs: a simulation of its steps, no array is allocated.

P workers of `rate` flop/s each, whose links move `bandwidth` bytes/s in each direction. A worker does one task after
another, block rows travel beside the arithmetic, and each task is `latency` seconds on its way through the scheduler:

    arrival of row j at p     whoever sends it to p (`Deal.receivers`) has it, and its link has sent what came before
    step j of share p         its step j - 1 is done and row j has arrived
    row j + 1 at its owner    the owner has done step j - 1 and row j has arrived; it then does its step j
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kernelfit.cluster.costs import ShareCosts
from kernelfit.cluster.deal import Deal
from kernelfit.gram.costs import Costs

#: seconds that a task takes beside its arithmetic, from submission to the next one: measured, `benchmarks/cluster.py`
LATENCY = 0.004
# Of the rate of a large product, what a step of the factor reaches, and what K and its products do.
_OF_FACTOR, _OF_GRAM = 0.90, 0.8
# Bytes/s at which a solve with few right-hand sides reads the factor from memory.
_MEMORY = 20e9
# Solves with the factor for the answer and its condition number, each there and back.
_SOLVES = 3


@dataclass(frozen=True)
class Machines:
    """`workers` of `rate` float64 flop/s, on links of `bandwidth` bytes/s.

    The first may be `slow` times slower; it gets fewer rows where that is known (`weighed`), as it is in a solve.
    """

    workers: int
    rate: float
    bandwidth: float
    gram_speed: float = 1.0
    latency: float = LATENCY
    slow: float = 1.0
    weighed: bool = True

    @property
    def parts(self) -> tuple[float, ...]:
        """As `kernelfit.cluster.costs.parts_of` has it."""
        if self.slow == 1.0 or not self.weighed:
            return ()
        return (1.0 / self.slow, *[1.0] * (self.workers - 1))


@dataclass(frozen=True)
class Prediction:
    """Seconds of each phase and in all, bytes of the worker that has most.

    Attributes
    ----------
    efficiency : the time of P workers without waiting or messages, as a part of that of the factor
    bytes_link : received by a worker while factoring
    bytes_memory : of a worker that holds its share in memory; bytes_memory_disk where it is on its disk
    """

    n: int
    workers: int
    panel_width: int
    seconds_factor: float
    seconds_solve: float
    seconds_certify: float
    seconds: float
    efficiency: float
    bytes_link: int
    bytes_memory: int
    bytes_memory_disk: int
    bytes_disk: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def predict(costs: Costs, machines: Machines) -> Prediction:
    """What a solve of these costs takes on these machines."""
    deal = Deal(costs.layout, machines.workers, machines.parts)
    shares = [ShareCosts.of(costs, deal, p, costs.threads) for p in range(machines.workers)]
    factor = _factor(costs, deal, machines)
    count, p = costs.layout.count, machines.workers
    read = costs.bytes_factor / p / _MEMORY
    hops = count * machines.latency * (2.0 if p > 1 else 1.0)
    solve = 2.0 * max(read, costs.flops_solve / p / machines.rate / 2.0) + hops
    gram_rate = _OF_GRAM * machines.rate * machines.gram_speed * p
    sent = 3.0 * costs.n * costs.n_rhs * 8 / machines.bandwidth if p > 1 else 0.0
    certify = costs.flops_gram / gram_rate + 4.0 * costs.flops_solve / p / machines.rate + sent
    certify += (_SOLVES - 1) * (2.0 * read + hops)
    return Prediction(
        n=costs.n,
        workers=p,
        panel_width=costs.layout.width,
        seconds_factor=factor,
        seconds_solve=solve,
        seconds_certify=certify,
        seconds=factor + solve + certify,
        efficiency=_arithmetic(costs, machines) / p / factor,
        bytes_link=max(share.received for share in shares),
        bytes_memory=max(share.in_memory for share in shares),
        bytes_memory_disk=max(share.on_disk for share in shares),
        bytes_disk=max(share.blocks for share in shares),
    )


def _arithmetic(costs: Costs, machines: Machines) -> float:
    """Seconds of one worker for K and the factor."""
    gram = costs.flops_gram / (_OF_GRAM * machines.rate * machines.gram_speed)
    return gram + costs.flops_factor / (_OF_FACTOR * _numbers(costs) * machines.rate)


def _numbers(costs: Costs) -> float:
    """Products of float32 run at twice the rate."""
    return 1.0 if costs.bytes_number == 8 else 2.0


def _factor(costs: Costs, deal: Deal, machines: Machines) -> float:
    """Seconds until the last step of the last share."""
    rate = _OF_FACTOR * _numbers(costs) * machines.rate
    entry = (2.0 * costs.d + 1.0) / (_OF_GRAM * machines.rate * machines.gram_speed)
    layout, p = costs.layout, deal.shares
    below = [0] * p  # rows of K below block row j in each share
    for i in range(layout.count):
        below[deal.owner(i)] += deal.height(i)
    ready = 0.0  # row j is finished
    done, sent = [0.0] * p, [0.0] * p  # the last step of each share, and when its link out is free
    for j in range(layout.count):
        owner, width, first = deal.owner(j), deal.height(j), layout.start(j)
        below[owner] -= width
        if j == 0:
            ready = done[owner] = width * width * (width / 3.0 / rate + entry) + machines.latency
        column = width * ((2.0 * first + width) / rate + entry)  # seconds of a row of K in this panel
        message = deal.row_elements(j) * costs.bytes_number / machines.bandwidth + machines.latency
        arrived = {owner: ready}
        for sender, q in deal.receivers(j, {q for q in range(p) if below[q]}):
            arrived[q] = sent[sender] = max(arrived[sender], sent[sender]) + message
        following = deal.owner(j + 1) if j + 1 < layout.count else -1
        for q in arrived:
            begun, rows, slow = max(done[q], arrived[q]), below[q], machines.slow if q == 0 else 1.0
            if q == following:
                height = deal.height(j + 1)
                square = height * height * ((layout.start(j + 1) + height / 3.0) / rate + entry)
                begun += slow * (height * column + square) + machines.latency
                ready, rows = begun, rows - height
            done[q] = begun + (slow * rows * column + machines.latency if rows else 0.0)
    return max([*done, ready])
