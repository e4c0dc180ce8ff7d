"""Every key of every option, given what it cannot mean: refused in one line that names it, or an object is built."""

import dataclasses
import math
import re
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

import prdp
from prdp import checks
from prdp.config import GROUPS, ConfigError, parse
from prdp.data import TrajectoryData
from prdp.physics import FilteredNoise, FourierSeries, Heat, NavierStokes
from prdp.schedules import HOAG, PRDP, Deadline, Flatness, Geometric, Linear, Matched, TolerancePRDP, TwoStage
from tests.conftest import OPTIONS, ROOT

NAN, INF = float("nan"), float("inf")
BAD = [
    "abc", "", "1e-3", -1, -1.5, 0, 0.5, NAN, INF, -INF, 10**20, 1e20, [], [1, "a"], ["a", "b"], {"a": 1}, None,
    True, "~nobody-has-this-name/x", "a\nb", [NAN], [[1]],
]  # fmt: skip
# The kinds of mistakes once each.
FEW = ["abc", -1, NAN, 10**20, [1, "a"], {"a": 1}, None]
PHYSICS = [name for group, name in OPTIONS if group == "physics"]


@pytest.fixture(scope="module")
def composed(compose):
    """`composed(group, name)`: the first physics' configuration that the option goes with, resolved."""

    def find(group, name):
        for physics in [name] if group == "physics" else ["heat1d", *PHYSICS]:
            config = compose(f"physics={physics}", f"{group}={name}")
            try:
                parse(config)
            except ConfigError:
                continue
            # Interpolations stay in the keys that a bad one may reach, as `scale` does.
            return config
        raise AssertionError(f"{group}={name} goes with no physics")

    return find


def keys_of(config, group):
    return [f"{group}.{key}" for key in config[group]]


def is_senseless(value):
    """Whether an accepted value is infinite or NaN, or an integer that no counter holds."""
    if isinstance(value, list):
        return any(map(is_senseless, value))
    return (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, int) and not isinstance(value, bool) and value >= 2**32
    )


def check(config, keys, values):
    """Return what is wrong with the answers, a line each."""
    wrong = []
    # Interpolations take most of the time: they are kept where they may depend on the key.
    resolved = OmegaConf.to_container(config, resolve=True)
    config = OmegaConf.to_container(config)
    text = " ".join(re.findall(r"\$\{.*\}", str(config)))
    for key in keys:
        parent, _, leaf = key.rpartition(".")
        base = config if key in text else resolved
        for value in values:
            told = f"{key}={value!r}"
            changed = {**base, parent: {**base[parent], leaf: value}} if parent else {**base, leaf: value}
            try:
                plain = parse(OmegaConf.create(changed)).plain
            except ConfigError as refusal:
                # Without a class there are no keys.
                known = key in str(refusal) or (key.endswith("._target_") and parent in str(refusal))
                if not known or len(str(refusal).splitlines()) != 1:
                    wrong.append(f"{told}: {str(refusal)!r}")
            except Exception as error:
                wrong.append(f"{told}: {type(error).__name__}: {error}")
            else:
                accepted = plain[parent][leaf] if parent else plain[leaf]
                if is_senseless(accepted):
                    wrong.append(f"{told} is accepted")
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_every_key_of_an_option_is_checked_by_all_values(composed, group, name):
    config = composed(group, name)
    wrong = check(config, keys_of(config, group), BAD)
    assert not wrong, "\n".join(wrong)


@pytest.mark.fast("solver")
@pytest.mark.parametrize("group", sorted({group for group, _ in OPTIONS}))
def test_every_key_of_an_option_is_checked(composed, group):
    seen, wrong = set(), []
    for name in [name for of, name in OPTIONS if of == group]:
        config = composed(group, name)
        # What an earlier option of the group has under the same name has been tried.
        keys = [key for key in keys_of(config, group) if key not in seen]
        seen |= set(keys)
        wrong += check(config, keys, FEW)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("values", [pytest.param(FEW, id="few"), pytest.param(BAD, id="all")])
def test_every_key_of_the_top_level_is_checked(composed, values):
    config = composed("physics", "heat2d")
    keys = [k for k in config if k not in (*GROUPS, "paper")]
    assert {"seed", "epochs", "runs_dir"} <= set(keys)
    wrong = check(config, [*keys, *GROUPS], values)
    assert not wrong, "\n".join(wrong)


OBJECTS = [
    prdp.Jacobi(), prdp.Richardson(0.1), prdp.GMRES(), prdp.LBFGS(), prdp.HeavyBall(1.0, 2.0),
    prdp.Implicit(5, None, 0.1), prdp.Implicit(None, 1.5, 0.1), prdp.Unrolled(5), prdp.Checkpointed(9, 3),
    prdp.Truncated(), prdp.OneStep(), prdp.Phantom(), prdp.Neumann(3, 0.1), prdp.ReducedCG(),
    PRDP(cap=5), TolerancePRDP(5), Linear(1, 2, 5), TwoStage(1, 2, 3), HOAG(5), Matched((1.0, 0.5), cap=3),
    Geometric(), Flatness(), Deadline(cap=5, intervals=9), Heat(1, 8), NavierStokes(8), FourierSeries(),
    FilteredNoise(), TrajectoryData(FourierSeries(), reference_points=9),
]  # fmt: skip


@pytest.mark.parametrize("made", OBJECTS, ids=lambda x: type(x).__name__)
def test_an_object_built_in_python_names_what_it_refuses(made):
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        bad = {int: [10**20, -1], float: [NAN, INF, -INF], str: ["abc"]}.get(type(value), [])
        for value in bad:
            with pytest.raises(ValueError, match=rf"^{field.name}=.*: allowed (is|are) .*$") as raised:
                dataclasses.replace(made, **{field.name: value})
            assert len(str(raised.value).splitlines()) == 1


# Without the checks of types that the tests have.
WRONG_TYPES = """
import prdp
from prdp.schedules import PRDP, Matched
from prdp.training.optimizers import adam
makers = [
    lambda x: prdp.GMRES(restart=x), lambda x: prdp.Jacobi(relaxation=x), lambda x: prdp.Neumann(terms=x),
    lambda x: prdp.Implicit(adjoint_ratio=x), lambda x: prdp.Phantom(form=x), lambda x: prdp.OneStep(steps=x),
    lambda x: prdp.SteepestDescent(residual=x), lambda x: PRDP(tau_step=x), lambda x: PRDP(cap=x),
    lambda x: Matched(errors=x), lambda x: adam(1e-3, x, 1.0, 100, 0.9, 0.99, 1e-8),
    lambda x: adam(x, "constant", 1.0, 100, 0.9, 0.99, 1e-8),
]
for i, make in enumerate(makers):
    for value in ("abc", ["a", 1], {"a": 1}, True):
        try:
            make(value)
        except ValueError as error:
            assert ": allowed " in str(error) and "\\n" not in str(error), error
        else:
            raise AssertionError((i, value))
"""


def test_a_wrong_type_is_refused_likewise():
    done = subprocess.run(
        [sys.executable, "-c", WRONG_TYPES], capture_output=True, text=True, timeout=100, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_a_long_value_is_cut():
    assert len(checks.shown("x" * 500, strings=True)) == 80
