"""How long a solve on a cluster takes, and what it needs: a simulation of its steps, no array is allocated.

P workers of `rate` flop/s each, whose links move `bandwidth` bytes/s in each direction. A worker does one task after
another, in the order update j, block row j where it is its own, advance j - 1; blocks travel beside the arithmetic, and
each task is `latency` seconds on its way through the scheduler:

    arrival of blocks at p   whoever sends them to p (`Deal.receivers`) has them, and its link has sent what came before
    update j of share p      the early blocks of row j have come, sent by their owner after its step j - `AHEAD` - 1
    row j at its owner       the late blocks of row j - 1 have arrived
    step j of share p        the late blocks of row j have arrived
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kernelfit.cluster.costs import ShareCosts
from kernelfit.cluster.deal import AHEAD, Deal
from kernelfit.gram.costs import Costs

#: seconds that a task takes beside its arithmetic, until the next one begins on another worker: a solve with few
#: columns takes 0.4 s for 20 block rows there and back, on two workers of one thread
LATENCY = 0.010
# Of a link's rate, what is left beside the headers of TCP/IP.
_PAYLOAD = 0.95
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
    layout, latency = costs.layout, machines.latency
    slow = [machines.slow if q == 0 else 1.0 for q in range(deal.shares)]
    below = [sum(map(deal.height, deal.rows(q))) for q in range(deal.shares)]  # rows of K from block row j on
    done, sent = (
        [0.0] * deal.shares,
        [0.0] * deal.shares,
    )  # the last task of each share, when its link out is free

    def arrivals(j: int, numbers: int) -> dict[int, float]:
        """When numbers of row j, which their owner has now, have come to the shares that have rows below it."""
        message = numbers * costs.bytes_number / (_PAYLOAD * machines.bandwidth) + latency
        there = {deal.owner(j): done[deal.owner(j)]}
        wanting = {q for q, rows in enumerate(below) if rows}
        for sender, q in deal.receivers(j, wanting):
            there[q] = sent[sender] = max(there[sender], sent[sender]) + message
        return there

    early: dict[int, dict[int, float]] = {}
    late: dict[int, float] = {}
    above = 0.0  # seconds of a row of K in what ends the panel before
    for j in range(layout.count):
        owner, height = deal.owner(j), deal.height(j)
        begins = height * (2.0 * layout.start(deal.first_late(j)) / rate + entry)
        left = layout.start(j) - layout.start(deal.first_late(j))
        arrived = early.pop(j, {})
        for q, rows in enumerate(below):
            if rows:
                half = 0.5 * height if q == owner else 0.0  # of the square
                done[q] = max(done[q], arrived.get(q, 0.0)) + slow[q] * (rows - half) * begins + latency
        ends = height * above + height * height * (left + height / 3.0) / rate
        done[owner] = max(done[owner], late.get(owner, 0.0)) + slow[owner] * ends + latency
        below[owner] -= height
        row = arrivals(j, height * (left + height))
        for q, rows in enumerate(below):
            if rows and j:
                done[q] = max(done[q], late.get(q, 0.0)) + slow[q] * rows * above + latency
        late, above = row, height * (2.0 * left + height) / rate
        after = j + AHEAD
        if after < layout.count and deal.first_late(after):
            early[after] = arrivals(after, deal.height(after) * layout.start(deal.first_late(after)))
    return max(done)
