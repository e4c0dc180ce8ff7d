"""The interface of preconditioners, and those that need no choice."""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg import FunctionOperator, Operator, Scaling, inverse_diagonal


class Preconditioner(ABC):
    """A recipe for an approximate inverse `P` of an operator `A`. Implementations are frozen dataclasses.

    The values of `P` never change what a converged solve returns, only how fast it converges.
    """

    @abstractmethod
    def inverse(self, operator: Operator) -> Operator:
        """Return `P`, with `mv` and an exact `transpose()`. Called once per solve."""

    @property
    def products(self) -> int:
        """The number of products with `A` that one product with `P` takes; 0 by default."""
        return 0

    def is_symmetric(self, operator: Operator) -> bool:
        """Whether `P` is symmetric, as preconditioned CG requires. By default if `A` is."""
        return operator.symmetric

    def transpose(self) -> "Preconditioner":
        """Return the recipe for `A^T`. By default the same, for recipes that derive `P` from the operator."""
        return self

    def check(self, operator: Operator) -> None:  # noqa: B027
        """Check that the preconditioner supports the operator.

        Raises:
            ValueError: If the operator is not supported.
        """


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PreconditionedOperator(Operator):
    """The operator `A P`. If `A P y = b`, then `u = P y` solves `A u = b`.

    Args:
        original: `A`.
        inverse: `P`.
    """

    original: Operator
    inverse: Operator

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """The shape of one system."""
        return self.original.shape

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        """False: `A P` is not symmetric in general."""
        return False

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `A P u`."""
        return self.original.mv(self.inverse.mv(u))

    def transpose(self) -> "PreconditionedOperator":
        """Return `P^T A^T`, as the pair `(P^T, A^T)`."""
        return PreconditionedOperator(self.inverse.transpose(), self.original.transpose())

    def diagonal(self) -> Float[Array, "..."]:
        """Not available: no preconditionable solver needs the diagonal.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("a preconditioned operator has no cheap diagonal")


@dataclass(frozen=True)
class Diagonal(Preconditioner):
    """The Jacobi preconditioner `P = D^-1`. Unknowns with a zero diagonal entry are not scaled."""

    def inverse(self, operator: Operator) -> Scaling:
        """Return `D^-1`."""
        return Scaling(inverse_diagonal(operator), operator.shape)

    def is_symmetric(self, operator: Operator) -> bool:
        """True."""
        return True


@dataclass(frozen=True, eq=False)
class Approximate(Preconditioner):
    """A preconditioner of your own: an operator, a diagonal or a function.

    * An operator `P`, e.g. `prdp.Dense(inverse, shape)`.
    * An array `d`, the diagonal of `P`, broadcastable to the shape of a system.
    * A function `operator -> P` that returns an operator, for a `P` that depends on parameters of `A`.
    * A function `(operator, v) -> P v` of one system `v`, linear in `v`.

    The adjoint solve needs `P` for `A^T`: an operator is transposed, a function is called with `A^T`. The values of
    an operator or an array must be known; a `P` with traced values is given as a function of the operator. Solvers
    compare preconditioners by identity, so create one and reuse it: every new one compiles the solve again.

    Args:
        given: one of these.
        symmetric: whether `P` is symmetric, for a function of `(operator, v)`.
        transposed: whether to use `P^T` of a given operator `P`.

    Raises:
        TypeError: If `given` is none of these.
        ValueError: If it has traced values.
    """

    given: Any
    symmetric: bool = False
    transposed: bool = False

    def __post_init__(self) -> None:
        if not (isinstance(self.given, Operator) or callable(self.given) or hasattr(self.given, "__array__")):
            raise TypeError(
                f"preconditioner given as a {type(self.given).__name__}: allowed is a prdp.Operator, an array (the "
                "diagonal) or a function of the operator"
            )
        if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(self.given)):
            raise ValueError(
                "the preconditioner has traced values: give a function of the operator that computes them"
            )

    def inverse(self, operator: Operator) -> Operator:
        """Return `P` in the precision of `A`.

        Raises:
            ValueError: If `P` has another shape than `A`.
        """
        dtype = jnp.result_type(*jax.tree.leaves(operator))
        if isinstance(self.given, Operator):
            made: Any = self.given.transpose() if self.transposed else self.given
        elif callable(self.given):
            made = self._from_function(operator)
        else:
            made = Scaling(jnp.asarray(self.given), operator.shape)
        if made.shape != operator.shape:
            raise ValueError(
                f"the preconditioner has shape {made.shape}: allowed is {operator.shape}, as the operator"
            )
        return made.astype(dtype)

    def _from_function(self, operator: Operator) -> Any:
        if _takes(self.given, 1):
            return self.given(operator)
        return FunctionOperator(operator, self.given, operator.shape, self.symmetric)

    def transpose(self) -> "Approximate":
        """Return the preconditioner with `P^T` if `P` is given as an operator."""
        if isinstance(self.given, Operator) and not self.given.symmetric:
            return self._transposed
        return self

    @functools.cached_property
    def _transposed(self) -> "Approximate":
        # Cached, because solvers compare preconditioners by identity.
        return Approximate(self.given, self.symmetric, not self.transposed)

    def is_symmetric(self, operator: Operator) -> bool:
        """Whether `P` is declared symmetric."""
        return self.inverse(operator).symmetric


def _takes(function: Callable[..., Any], count: int) -> bool:
    return len(inspect.signature(function).parameters) == count
