"""The best monotone schedule in hindsight, found by branching: the reference for the regret of other schedules."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd

from prdp.config import Config
from prdp.suite.stepwise import Stepwise


@dataclass(frozen=True)
class Node:
    """A training run up to some epoch.

    Attributes:
        state: the parameters and the state of the optimiser.
        levels: K of each block so far, nondecreasing.
        cost: the K in force, summed over updates and solves.
        error: the current validation error, on which schedules are chosen.
        test: the error on the held-out test set, which the search does not see; NaN without a test set.
    """

    state: Any
    levels: tuple[int, ...]
    cost: int
    error: float
    test: float = float("nan")


class Branching:
    """Trains any node for one more block of epochs with any K, on the same minibatches as an ordinary run.

    Args:
        config: the configuration of physics, model, optimiser, seed and epochs; its schedule is not used.
        block: the number of epochs between two decisions.

    Raises:
        ValueError: If `block` does not divide the number of epochs.
    """

    def __init__(self, config: Config, block: int):
        epochs = config.general.epochs
        if block < 1 or epochs % block:
            raise ValueError(f"block={block}: allowed are the divisors of epochs={epochs}")
        self.training = Stepwise(config)
        self.block, self.blocks = block, epochs // block
        task = self.training.task
        self._solves = task.samples // config.general.batch_size * task.solves_per_update

    @property
    def converged(self) -> int:
        """K_epsilon."""
        return self.training.converged

    def root(self) -> Node:
        """Return the untrained model."""
        return Node(self.training.start, (), 0, float("inf"))

    def extend(self, node: Node, level: int) -> Node:
        """Return the node after one more block with K = `level`."""
        # Copy the state, because training donates it and a node may be extended more than once.
        state = jax.tree.map(jnp.copy, node.state)
        first = len(node.levels) * self.block + 1
        for epoch in range(first, first + self.block):
            state = self.training.train(state, epoch, level)
        error = self.training.validation_error(state)
        return Node(state, (*node.levels, level), node.cost + level * self._solves * self.block, error)

    def tested(self, node: Node) -> Node:
        """Return the node with its error on the test set."""
        return replace(node, test=self.training.test_error(node.state))


def search(branching: Branching, levels: Sequence[int], width: int) -> Iterator[list[Node]]:
    """Yield, after each block, the schedules to continue: at most `width` undominated ones, cheapest first.

    After the last block nothing continues, and the list has all undominated ones. A schedule is dominated if another
    one has no higher cost, error and current K. The last list approximates the Pareto front of cost and final error
    over all monotone schedules with the given levels. Its costs are upper bounds of the optimal costs, because the
    search is pruned.
    """
    front = [branching.root()]
    for left in reversed(range(branching.blocks)):
        children = [
            branching.extend(node, level)
            for node in front
            for level in levels
            if not node.levels or level >= node.levels[-1]
        ]
        usable = [child for child in children if child.error < float("inf")]
        found = undominated(usable)
        front = thinned(found, width) if left else found
        yield front


def undominated(nodes: Sequence[Node]) -> list[Node]:
    """Return the undominated nodes (see `search`), cheapest first."""
    kept: list[Node] = []
    for node in sorted(nodes, key=lambda n: (n.cost, n.error, n.levels[-1])):
        if not any(k.error <= node.error and k.levels[-1] <= node.levels[-1] for k in kept):
            kept.append(node)
    return kept


def thinned(nodes: list[Node], width: int) -> list[Node]:
    """Return at most `width` nodes, cheapest first, that lose little of the area that the front dominates.

    The area is that of log cost and log error. The node whose removal costs the least area goes first: that of the
    rectangle between it and its two neighbours. The cheapest and the most accurate node stay (only the latter if
    `width` is 1). Nodes with a lower K in force that another one beats in cost and error fill what is left, by error.
    """
    if len(nodes) <= width:
        return nodes
    kept = undominated_in_cost(nodes)
    if width == 1:
        return kept[-1:]
    while len(kept) > width:
        triples = zip(kept, kept[1:], kept[2:], strict=False)
        lost = [math.log(right.cost / n.cost) * math.log(left.error / n.error) for left, n, right in triples]
        del kept[1 + lost.index(min(lost))]
    beaten = [node for node in nodes if not any(node is k for k in kept)]
    fill = sorted(beaten, key=lambda n: n.error)[: width - len(kept)]
    return sorted(kept + fill, key=lambda n: n.cost)


def front_table(nodes: Sequence[Node], block: int) -> pd.DataFrame:
    """Return the front as a table with cost, error and the K of each block."""
    rows = [
        {
            "iterations_total": n.cost,
            "val_error": n.error,
            "test_error": n.test,
            "levels": list(n.levels),
            "block": block,
        }
        for n in undominated_in_cost(nodes)
    ]
    return pd.DataFrame(rows)


def undominated_in_cost(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes with a lower error than every cheaper one."""
    kept: list[Node] = []
    for node in sorted(nodes, key=lambda n: (n.cost, n.error)):
        if not kept or node.error < kept[-1].error:
            kept.append(node)
    return kept
