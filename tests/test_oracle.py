"""The search for the best schedule in hindsight."""

import itertools

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from flax import nnx

from prdp.config import parse
from prdp.suite.oracle import Branching, Node, front_table, search, thinned, undominated

SMALL = ("physics=heat1d", "epochs=6", "model.width=8", "data.train_samples=50", "seed=3")


def node(cost, error, level):
    return Node(None, (level,), cost, error)


@pytest.fixture(scope="module")
def branching(compose, data_dir):
    return Branching(parse(compose(*SMALL, f"data_dir={data_dir}")), 2)


@pytest.mark.slow
def test_a_branch_is_the_very_run_of_that_schedule(branching, run_in, tmp_path):
    reached = branching.root()
    for level in (3, 3, 3):
        reached = branching.extend(reached, level)
    outcome = run_in(tmp_path, *SMALL, "schedule=fixed", "schedule.iterations=3")
    history = pd.read_parquet(outcome.folder / "history.parquet")
    assert reached.error == history["val_error"].iloc[-1]
    assert reached.cost == outcome.summary["iterations_total"]
    # The network is that of the run, tested on the same samples.
    assert branching.tested(reached).test == pytest.approx(outcome.summary["test_error_final"], rel=1e-12)


def test_the_test_error_is_that_of_one_pass_over_the_whole_test_set(branching):
    node = branching.tested(branching.extend(branching.root(), 5))
    task = branching.training.task
    whole = {**task.arrays(), "validation": jnp.asarray(task.data.test)}
    assert len(task.data.test) == 20
    model = nnx.merge(branching.training.graph, node.state.parameters)
    assert node.test == pytest.approx(float(task.validate(model, whole)["val_error"]), rel=1e-5)
    assert node.test != node.error


def test_extending_leaves_the_node_as_it_was(branching):
    first = branching.extend(branching.root(), 2)
    once, twice = branching.extend(first, 5), branching.extend(first, 5)
    assert once.error == twice.error


def test_a_wide_search_finds_the_front_of_all_monotone_schedules(branching):
    levels = (1, 4, 9)
    *_, last = search(branching, levels, 1000)
    found = front_table(last, 2)
    every = []
    for schedule in itertools.combinations_with_replacement(levels, branching.blocks):
        reached = branching.root()
        for level in schedule:
            reached = branching.extend(reached, level)
        every.append((reached.cost, reached.error))
    best = [e for c, e in every if c == found["iterations_total"].iloc[-1]]
    assert found["val_error"].min() <= min(e for _, e in every) * 1.02
    assert min(best) <= found["val_error"].iloc[-1]
    assert found["iterations_total"].is_monotonic_increasing
    assert found["val_error"].is_monotonic_decreasing


def test_the_last_list_has_all_that_was_found(branching):
    first, second, last = search(branching, (1, 4, 9), 1)
    assert (len(first), len(second)) == (1, 1)
    level = second[0].levels[-1]
    ends = [branching.extend(second[0], k) for k in (1, 4, 9) if k >= level]
    assert [(n.levels, n.error) for n in last] == [(n.levels, n.error) for n in undominated(ends)]


def test_only_what_nothing_beats_is_kept():
    kept = undominated(
        [node(10, 1.0, 2), node(10, 0.9, 2), node(20, 0.9, 2), node(20, 0.95, 1), node(30, 0.5, 3)]
    )
    assert [(n.cost, n.error) for n in kept] == [(10, 0.9), (20, 0.95), (30, 0.5)]


@pytest.mark.parametrize("width", [1, 2, 5, 9, 20])
def test_thinning_keeps_the_ends(width):
    nodes = [node(i, 1.0 / (i + 1), 1) for i in range(10)]
    kept = thinned(nodes, width)
    assert len(kept) == min(width, 10)
    assert kept[-1] is nodes[-1]
    if width > 1:
        assert kept[0] is nodes[0]
    assert np.all(np.diff([n.cost for n in kept]) > 0)


def test_thinning_drops_what_adds_least_to_the_front():
    # In squares of decades, the front loses 0.1, 1.9 and 0.1 without the second, the third and the fourth.
    nodes = [
        node(1, 1e4, 9),
        node(10, 10**3.9, 9),
        node(100, 1e2, 9),
        node(1000, 10**1.9, 9),
        node(10**4, 10.0, 9),
    ]
    assert thinned(nodes, 3) == [nodes[0], nodes[2], nodes[4]]
    assert thinned(nodes, 2) == [nodes[0], nodes[4]]


def test_thinning_keeps_beaten_nodes_of_low_level_only_if_there_is_room():
    front, beaten = [node(1, 4.0, 5), node(2, 2.0, 5), node(3, 1.0, 5)], [node(2, 3.0, 2), node(3, 3.5, 1)]
    assert thinned(sorted(front + beaten, key=lambda n: n.cost), 3) == front
    assert thinned(front + beaten, 4) == [front[0], front[1], beaten[0], front[2]]


def test_a_block_that_does_not_divide_the_epochs_is_refused(compose, data_dir):
    with pytest.raises(ValueError, match="block=4: allowed are the divisors of epochs=6"):
        Branching(parse(compose(*SMALL, f"data_dir={data_dir}")), 4)
