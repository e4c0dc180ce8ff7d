"""`conf/` and its schema agree, the paper's settings are the defaults, and mistakes end in one line."""

import pandas as pd
import pytest
from omegaconf import OmegaConf

from prdp.config import ConfigError, parse
from prdp.records import digest, run_name
from prdp.run import run
from tests.cases import some_fast
from tests.conftest import OPTIONS, ROOT

PHYSICS = [name for group, name in OPTIONS if group == "physics"]
# These go with every physics; an option of the other groups has to go with one at least.
UNIVERSAL = ("solver", "diff", "schedule", "tracking")


def options_of(group):
    return [name for of, name in OPTIONS if of == group]


def assert_made_of(config, group, name):
    assert config.names[group] == name
    target = OmegaConf.load(ROOT / "conf" / group / f"{name}.yaml").get("_target_")
    made = getattr(config, group)
    if group in ("solver", "diff", "schedule"):
        assert target == f"prdp.{GROUP_PACKAGES[group]}.{type(made).__name__}"


GROUP_PACKAGES = {"solver": "solvers", "diff": "differentiation", "schedule": "schedules"}


@pytest.mark.fast("heat1d")
@pytest.mark.parametrize("physics", some_fast(PHYSICS, ("poisson", "heat1d", "navier_stokes")))
def test_every_universal_option_goes_with_every_physics(compose, physics):
    columns = {group: options_of(group) for group in UNIVERSAL}
    for i in range(max(map(len, columns.values()))):
        chosen = {group: names[i % len(names)] for group, names in columns.items()}
        # Tolerances steer nothing where all K iterations are differentiated: these schedules have their own row.
        steers = chosen["schedule"] in ("hoag", "tolerance_prdp")
        for row in [{**chosen, "schedule": "fixed"}, {**chosen, "diff": "implicit"}] if steers else [chosen]:
            config = parse(compose(f"physics={physics}", *(f"{g}={n}" for g, n in row.items())))
            for group, name in row.items():
                assert_made_of(config, group, name)


@pytest.mark.parametrize("diff", ["unrolled", "truncated"])
def test_schedules_of_tolerances_are_refused_where_all_iterations_run(compose, diff):
    with pytest.raises(
        ConfigError, match=f"schedule=hoag does not go with diff={diff}: it steers the tolerance"
    ):
        parse(compose("physics=heat1d", "schedule=hoag", f"diff={diff}"))


@pytest.mark.parametrize(("group", "name"), [o for o in OPTIONS if o[0] not in UNIVERSAL])
def test_every_other_option_goes_with_some_physics(compose, group, name):
    refusals = {}
    for physics in [name] if group == "physics" else PHYSICS:
        try:
            config = parse(compose(f"physics={physics}", f"{group}={name}"))
        except ConfigError as refusal:
            refusals[physics] = str(refusal)
            continue
        assert_made_of(config, group, name)
        return
    pytest.fail(f"{group}={name} goes with no physics: {refusals}")


def test_all_physics_show_the_same_keys(compose):
    keys = {physics: set(compose(f"physics={physics}")) for physics in PHYSICS}
    assert len(set(map(frozenset, keys.values()))) == 1, keys


@pytest.mark.parametrize("name", [name for group, name in OPTIONS if group == "solver"])
def test_every_solver_has_a_tolerance_and_an_operator(compose, name):
    node = compose(f"solver={name}").solver
    assert node.name == name
    assert node.tolerance == 1e-5
    assert node.operator == "stencil"


ADAM = {"optimizer.name": "adam", "optimizer.learning_rate": 1e-3, "optimizer.decay": "exponential"}
HEAT = {
    **ADAM,
    "batch_size": 25,
    "converged_iterations": None,
    "solver.name": "jacobi",
    "model.name": "mlp",
    "model.depth": 3,
    "task.name": "mixed_chain",
    "data.name": "fourier",
    "data.train_samples": 200,
    "data.validation_samples": 5,
    "schedule.iterations": 1,
    "schedule.increment": 1,
    "schedule.tau_stop": 0.9,
    "schedule.grace_window": 3,
}
POISSON = {
    "batch_size": 1,
    "diff.name": "unrolled",
    "model.name": "parameters",
    "optimizer.name": "gradient_descent",
    "task.name": "inverse",
    "data.name": "none",
    "schedule.grace_window": 2,
    "schedule.smoothing_window": 1,
}
POISSON_1 = {
    **POISSON,
    "solver.name": "jacobi",
    "epochs": 170,
    "converged_iterations": 600,
    "optimizer.learning_rate": 275.0,
    "task.reference": [2.0],
    "model.initial": [5.0],
    "schedule.iterations": 25,
    "schedule.increment": 10,
    "schedule.tau_step": 0.92,
    "schedule.tau_stop": 0.9,
}
POISSON_3 = {
    **POISSON,
    "solver.name": "jacobi",
    "epochs": 750,
    "converged_iterations": 450,
    "optimizer.learning_rate": 3500.0,
    "task.reference": [0.62, 1.86, 5.1],
    "model.initial": [3.0, 3.0, 3.0],
    "schedule.iterations": 1,
    "schedule.increment": 2,
    "schedule.tau_step": 0.99,
    "schedule.tau_stop": 0.99,
}
PAPER = {
    "physics=heat1d": {
        **HEAT,
        "physics.dimensions": 1,
        "diff.name": "implicit",
        "epochs": 100,
        "model.width": 64,
        "optimizer.decay_rate": 0.94,
        "schedule.tau_step": 0.98,
        "schedule.smoothing_window": 8,
    },
    "physics=heat2d": {
        **HEAT,
        "physics.dimensions": 2,
        "diff.name": "unrolled",
        "epochs": 70,
        "model.width": 3000,
        "optimizer.decay_rate": 0.9,
        "schedule.tau_step": 0.9,
        "schedule.smoothing_window": 6,
    },
    "physics=poisson": POISSON_1,
    "physics=poisson schedule=linear": {"schedule.iterations": 25, "schedule.increment": 5},
    "physics=poisson physics.parameters=3": POISSON_3,
    "physics=poisson physics.parameters=3 solver=steepest_descent": {
        **POISSON_3,
        "solver.name": "steepest_descent",
        "solver.residual": "recomputed",
        "epochs": 800,
        "converged_iterations": 240,
    },
    "physics=heat1d solver=steepest_descent": {"solver.residual": "recursive"},
}


@pytest.mark.parametrize("choice", PAPER)
def test_a_physics_brings_the_settings_of_the_paper(compose, choice):
    composed = compose(*choice.split())
    assert {key: OmegaConf.select(composed, key) for key in PAPER[choice]} == PAPER[choice]
    parse(composed)


def test_heat_2d_is_the_default(compose):
    assert compose() == compose("physics=heat2d")


OTHER = {"epochs": 7, "schedule.tau_step": 0.5, "schedule.increment": 3, "schedule.iterations": 2}
OTHER_HEAT = {
    **OTHER,
    "batch_size": 20,
    "model.width": 8,
    "model.depth": 1,
    "optimizer.learning_rate": 0.5,
    "optimizer.decay_rate": 0.25,
    "data.form": "matched",
    "schedule.tau_stop": 0.6,
    "schedule.grace_window": 4,
    "schedule.smoothing_window": 2,
    "converged_iterations": 9,
}
OTHER_POISSON = {
    **OTHER,
    "optimizer.learning_rate": 3.0,
    "task.reference": [4.0],
    "model.initial": [9.0],
    "converged_iterations": 11,
}


@pytest.mark.parametrize(
    ("physics", "changes"), [("heat1d", OTHER_HEAT), ("heat2d", OTHER_HEAT), ("poisson", OTHER_POISSON)]
)
def test_the_command_line_wins_over_the_paper(compose, physics, changes):
    composed = compose(*(f"{k}={v}" for k, v in changes.items()), f"physics={physics}")
    assert {key: OmegaConf.select(composed, key) for key in changes} == changes
    parse(composed)


@pytest.mark.parametrize("diff", [name for group, name in OPTIONS if group == "diff"])
@pytest.mark.parametrize("physics", some_fast(PHYSICS, ("poisson", "heat2d", "navier_stokes")))
def test_a_chosen_group_wins_over_that_of_the_physics(compose, physics, diff):
    assert compose(f"diff={diff}", f"physics={physics}").diff.name == diff


AT_LEAST_1 = "allowed is an integer >= 1"
MISTAKES = {
    "seed=-1": "seed=-1: allowed is an integer from 0 to 2^32 - 1",
    "seed=4294967296": "seed=4294967296: allowed is an integer from 0 to 2^32 - 1",
    "seed=true": "seed=True: allowed is an integer",
    "seed=null": "seed=None: allowed is an integer",
    "epochs=2.5": "epochs=2.5: allowed is an integer",
    "epochs=0": f"epochs=0: {AT_LEAST_1}",
    "batch_size=30": "batch_size=30: allowed are the divisors of the number of training samples "
    "(data.train_samples=200)",
    "batch_size=0": f"batch_size=0: {AT_LEAST_1}",
    "precision=float16": "precision='float16': allowed are float32, float64",
    "converged_iterations=0": f"converged_iterations=0: {AT_LEAST_1}",
    "checkpoint_seconds=nan": "checkpoint_seconds=nan: allowed is a number >= 0",
    "overwrite=maybe": "overwrite='maybe': allowed is true or false",
    "runs_dir=5": "runs_dir=5: allowed is a string",
    "~seed": "seed: this key is needed",
    "+foo=1": "foo: no such key; allowed are seed, epochs, batch_size,",
    "schedule.tau_step=1.2": "schedule.tau_step=1.2: allowed is 0 < tau_step <= 1",
    "schedule.tau_step=nan": "schedule.tau_step=nan: allowed is 0 < tau_step <= 1",
    "schedule.tau_stop=0": "schedule.tau_stop=0.0: allowed is 0 < tau_stop <= 1",
    "schedule.iterations=abc": "schedule.iterations='abc': allowed is an integer",
    "schedule.grace_window=1": "schedule.grace_window=1: allowed is an integer >= 2",
    "schedule.checkpoint=inf": "schedule.checkpoint=inf: allowed is a number > 0",
    "schedule.cap=0": "schedule.cap=0: allowed is an integer >= iterations (1), or null",
    "schedule=fixed schedule.iterations=0": f"schedule.iterations=0: {AT_LEAST_1}",
    "schedule=fixed schedule.iterations=1.5": "schedule.iterations=1.5: allowed is an integer",
    "schedule=linear schedule.interval=0": f"schedule.interval=0: {AT_LEAST_1}",
    "schedule=linear schedule.cap=0": "schedule.cap=0: allowed is an integer >= iterations (1)",
    "solver.relaxation=5": "solver.relaxation=5.0: allowed is 0 < relaxation < 2",
    "solver.tolerance=1": "solver.tolerance=1.0: allowed is 0 <= tolerance < 1",
    "solver.operator=sparse": "solver.operator='sparse': allowed are stencil, dense",
    "+solver.foo=1": "solver.foo: no such key; allowed are relaxation, tolerance, operator",
    "+solver.relaxatoin=1": "(did you mean solver.relaxation?)",
    "solver.name=[1]": "solver.name=[1]: allowed is a name of letters, digits",
    "solver.name='a/b'": "solver.name='a/b': allowed is a name of letters, digits",
    "solver._target_=nowhere.Solver": "solver._target_='nowhere.Solver': allowed is the dotted path of a class or",
    "solver._target_=prdp.solvers.Foo": "solver._target_='prdp.solvers.Foo': allowed is the dotted path",
    "solver._target_=5": "solver._target_=5: allowed is the dotted path of a class or function",
    "solver._target_=null": "solver._target_=None: allowed is the dotted path of a class or function",
    "~solver._target_": "solver._target_=None: allowed is the dotted path of a class or function",
    "diff=jfb diff._target_=prdp.schedules.base.Schedule": "diff._target_",
    "diff=jfb diff._target_=builtins.object": "diff._target_: allowed is a subclass of prdp.differentiation.base.Mode",
    "task._target_=prdp.solvers.Jacobi": "task.loss: no such key; allowed are relaxation",
    "optimizer._target_=optax.adamw": "optimizer.decay: no such key; allowed are learning_rate, b1, b2, eps",
    "solver=gmres solver.restart=0": f"solver.restart=0: {AT_LEAST_1}",
    "solver=direct solver.factorisation=qr": "solver.factorisation='qr': allowed are auto, dense, spectral",
    "solver=richardson solver.step_size=0": "solver.step_size=0: allowed is any other number, or null",
    "solver=steepest_descent solver.residual=x": "solver.residual='x': allowed are recursive, recomputed",
    "diff.iterations_cap=0": f"diff.iterations_cap=0: {AT_LEAST_1}, or null",
    "diff=implicit diff.adjoint_iterations=0": f"diff.adjoint_iterations=0: {AT_LEAST_1}, or null",
    "diff=implicit diff.adjoint_tolerance=2": "diff.adjoint_tolerance=2.0: allowed is 0 <= tolerance < 1",
    "model.width=0": f"model.width=0: {AT_LEAST_1}",
    "optimizer.learning_rate=-1": "optimizer.learning_rate=-1.0: allowed is a number > 0",
    "optimizer.learning_rate=nan": "optimizer.learning_rate=nan: allowed is a number > 0",
    "optimizer.decay=x": "optimizer.decay='x': allowed are constant, exponential, cosine",
    "optimizer.decay_rate=0": "optimizer.decay_rate=0.0: allowed is 0 < decay_rate <= 1",
    "optimizer.b1=1": "optimizer.b1=1.0: allowed is 0 <= b1 < 1",
    "task.loss=mae": "task.loss='mae': allowed are mse, nmse",
    "task.normalisation=x": "task.normalisation='x': allowed are same_step, previous_step",
    "task.validation_step=3": "task.validation_step=3: allowed is 1 to data.steps=2",
    "task.validation_step=0": f"task.validation_step=0: {AT_LEAST_1}",
    "data.form=x": "data.form='x': allowed are products, released, matched",
    "data.amplitude=0": "data.amplitude=0.0: allowed is a number > 0",
    "data.validation_key=1337": "data.validation_key=1337: allowed is any key that shares no samples",
    "physics.boundary=neumann": "physics.boundary='neumann': allowed are dirichlet, periodic",
    "physics.points=2": "physics.points=2: allowed is an integer >= 3",
    "physics.dimensions=4": "physics.dimensions=4: allowed are 1, 2, 3",
    "physics=poisson physics.parameters=2": "physics.parameters=2: allowed are 1, 3",
    "physics=poisson task.reference=[1,2]": "task.reference=[1.0, 2.0]: allowed is a list of "
    "physics.parameters=1 numbers",
    "physics=poisson task.reference=[0]": "task.reference: the relative error needs a reference that is not",
    "physics=poisson diff.iterations_cap=5": "diff.iterations_cap=5: allowed is an integer >= the schedule's "
    "largest K (600)",
    "physics=poisson task=mixed_chain": "physics=poisson does not go with task=mixed_chain: allowed is a physics "
    "that makes time steps",
    "physics=poisson task=correction": "physics=poisson does not go with task=correction: allowed is a physics "
    "that makes time steps",
    "data=none": "data=none does not go with task=mixed_chain: allowed is a source of trajectories",
    "physics=heat2d task=mixed_chain data=noise": "data=noise does not go with physics=heat2d: it makes 2 "
    "field(s) per sample, and the physics starts from 1",
    "physics=heat1d data=noise": "data=noise does not go with physics=heat1d: the noise is periodic: allowed only with "
    "physics.boundary=periodic",
    "physics=navier_stokes data=fourier data.form=products": "data=fourier does not go with "
    "physics=navier_stokes: it makes 1 field(s) per sample, and the physics starts from 2",
    "physics=navier_stokes task.validation_channel=3": "task.validation_channel=3: allowed is 0 to 2",
    "physics=navier_stokes task.validation_channel=-1": "task.validation_channel=-1: allowed is an integer >= 0",
    "physics=heat1d task=correction task.validation_channel=1": "task.validation_channel=1: allowed is 0 to 0",
    "physics=navier_stokes task.unrolled_steps=6": "task.unrolled_steps=6: allowed is 1 to data.steps=5",
    "physics=navier_stokes task.validation_iterations=0": f"task.validation_iterations=0: {AT_LEAST_1}",
    "physics=navier_stokes data.validation_key=199": "data.validation_key=199: allowed is any key that shares no",
    "physics=navier_stokes data.train_key=4294967295": "data.train_key=4294967295: allowed are seeds below 2^32",
    "physics=navier_stokes data=fourier": "data=fourier does not go with physics=navier_stokes: it makes 1 field",
    "physics=navier_stokes data.smoothing=0": "data.smoothing=0.0: allowed is a number > 0",
    "physics=navier_stokes data.reference_points=4": "data.reference_points=4: allowed is s * physics.points + r",
    "physics=navier_stokes data.reference_points=60": "data.reference_points=60: allowed is s * physics.points + r",
    "physics=navier_stokes physics.winds=x": "physics.winds='x': allowed are pointwise, averaged",
    "+solver.preconditioner=fourier": "solver.preconditioner: no such key; allowed are relaxation, tolerance, operator",
    "solver=gmres solver.preconditioner=ilu": "solver.preconditioner='ilu': allowed are none, jacobi, fourier, ssor, "
    "chebyshev, multigrid",
    "solver=gmres solver.preconditioner=null": "solver.preconditioner=None: allowed are none, jacobi, fourier, ssor, "
    "chebyshev, multigrid",
    "solver=gmres solver.preconditioner=fourier": "solver=gmres does not go with physics=heat2d: the Fourier "
    "preconditioner needs a periodic stencil",
    "tracking=wandb tracking.mode=remote": "tracking.mode='remote': allowed are offline, online, disabled",
    "tracking=wandb tracking.tags=abc": "tracking.tags='abc': allowed is a list",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(compose, tmp_path, mistake):
    folders = (f"runs_dir={tmp_path / 'runs'}", f"data_dir={tmp_path / 'data'}")
    with pytest.raises(ConfigError) as raised:
        run(compose(*folders, *mistake.split()))
    message = str(raised.value)
    assert MISTAKES[mistake] in message
    assert len(message.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_ends_of_the_range_are_seeds(compose, seed):
    assert parse(compose(f"seed={seed}")).general.seed == seed


@pytest.mark.fast("schedule.tau_stp")
@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        pytest.param("seed=-1", "seed=-1: allowed is an integer from 0 to 2^32 - 1", marks=pytest.mark.slow),
        (
            "schedule.tau_stp=0.9",
            "schedule.tau_stp: no such key; allowed are name, iterations, increment, tau_step, tau_stop, "
            "grace_window, smoothing_window, checkpoint, cap (did you mean tau_stop?)",
        ),
        pytest.param(
            "solver=jacobi solver.preconditioner=fourier",
            "solver.preconditioner: no such key; allowed are name, tolerance, operator, warm_start, relaxation",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "solver=foo",
            "gmres; gradient_descent; heavy_ball; jacobi; lbfgs; richardson; steepest_descent",
            marks=pytest.mark.slow,
        ),
        ("+solver.foo=1", "solver.foo: no such key; allowed are relaxation, tolerance, operator"),
        pytest.param(
            "physics=poisson diff.iterations_cap=5",
            "diff.iterations_cap=5: allowed is an integer >= the schedule's largest K (600)",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_process_ends_with_one_line_and_code_1(train, tmp_path, mistake, told):
    before = sorted(tmp_path.rglob("*"))
    done = train(f"data_dir={tmp_path / 'data'}", *mistake.split())
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "cwd"])


def name(config):
    return run_name(config.identity(), config.determinants())


@pytest.mark.slow
def test_the_name_of_a_run_depends_on_what_can_change_its_numbers(compose):
    changes = ("seed=1", "schedule.tau_step=0.5", "solver.tolerance=1e-6", "precision=float64", "epochs=3",
               "batch_size=20", "data.modes=4", "converged_iterations=25", "solver.operator=dense",
               "task.loss=nmse", "diff=unrolled", "model.depth=2", "physics.boundary=periodic")  # fmt: skip
    configs = [parse(compose("physics=heat1d", *c)) for c in [(), *((c,) for c in changes)]]
    assert len({digest(c.determinants()) for c in configs}) == len(changes) + 1
    assert len({name(c) for c in configs}) == len(changes) + 1


def test_the_name_of_a_run_depends_on_nothing_else(compose):
    changes = ("runs_dir=a", "data_dir=b", "tracking=wandb", "progress=false", "checkpoint_seconds=1",
               "overwrite=true", "compilation_cache=false", "seed=0", "schedule.tau_step=0.98",
               "paper.depth=3")  # fmt: skip
    names = {name(parse(compose("physics=heat1d", *c))) for c in [(), *((c,) for c in changes), changes]}
    assert len(names) == 1
    assert names.pop().startswith("heat1d-jacobi-implicit-prdp-seed0-")


EQUAL = {
    "solver.relaxation=1": "solver.relaxation=1.0",
    "solver.relaxation=1e0": "solver.relaxation=1.0",
    "solver.tolerance=0": "solver.tolerance=-0.0",
    "physics.time_step=2": "physics.time_step=2.0",
    "optimizer.learning_rate=1": "optimizer.learning_rate=1.0",
    "optimizer.decay_rate=1": "optimizer.decay_rate=1.0",
    "data.amplitude=2": "data.amplitude=2.0",
    "schedule.checkpoint=100": "schedule.checkpoint=100.0",
    "schedule.tau_step=1": "schedule.tau_step=1.0",
    "schedule=matched schedule.errors=[1,0.5]": "schedule=matched schedule.errors=[1.0,0.5]",
    "solver=richardson solver.step_size=1": "solver=richardson solver.step_size=1.0",
    "solver=heavy_ball solver.largest_eigenvalue=9": "solver=heavy_ball solver.largest_eigenvalue=9.0",
    "diff=implicit diff.adjoint_ratio=2": "diff=implicit diff.adjoint_ratio=2.0",
    "diff=implicit diff.adjoint_tolerance=0": "diff=implicit diff.adjoint_tolerance=0.0",
    "physics=poisson model.initial=[5]": "physics=poisson model.initial=[5.0]",
    "physics=poisson task.reference=[2]": "physics=poisson",
}


@pytest.mark.parametrize("one", EQUAL)
def test_equal_configurations_are_one_run(compose, one):
    a, b = (parse(compose("physics=heat1d", *x.split())) for x in (one, EQUAL[one]))
    assert name(a) == name(b)
    assert repr(a.plain) == repr(b.plain)
    assert name(a.with_seed(3)) == name(b.with_seed(3))


@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_the_committed_records_are_those_of_the_present_names(compose, every):
    jobs = pd.read_parquet(ROOT / "results" / "records" / "jobs.parquet").dropna()
    jobs["kind"] = jobs["run"].str.replace(r"-seed.*", "", regex=True)
    # It is of before K could begin anywhere but at 1.
    jobs = jobs[jobs["run"] != "poisson-jacobi-implicit-matched-seed0-e7204606"]
    chosen = jobs.drop_duplicates(["kind"])
    assert len(chosen) > 80
    chosen = chosen[::every]
    for overrides, name_of_run in zip(chosen["overrides"], chosen["run"], strict=True):
        assert name(parse(compose(*overrides.split()))) == name_of_run


@pytest.mark.slow
def test_a_sweep_leaves_one_run_folder_a_job(train, tmp_path):
    done = train("-m", "physics=poisson", "epochs=2", "schedule=prdp,fixed")
    assert done.returncode == 0, done.stderr
    folders = [p.name for p in (tmp_path / "runs").iterdir() if p.name.startswith("poisson-")]
    assert sorted(f.split("-")[3] for f in folders) == ["fixed", "prdp"]
    assert list((tmp_path / "cwd").iterdir()) == []
