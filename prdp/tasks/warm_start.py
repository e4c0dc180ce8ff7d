"""Warm starts: the last solution of each training sample is where its next solve begins."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Guess(NamedTuple):
    """Where one solve of a minibatch begins, and where its adjoint does; `None` is zero.

    Attributes:
        value: u, a constant: no gradient passes it.
        multiplier: lambda; what a loss returns as its cotangent is the new one, see `prdp.solve`.
    """

    value: Any = None
    multiplier: Any = None


class Cache(NamedTuple):
    """The last u and lambda of each training sample, a field `(samples, *shape)` for each solve of an update.

    So a warm start costs two fields a sample and solve (one where there is no lambda), and one product with `A` more a
    solve. It is part of the state of training: checkpoints have it, and a resumed run goes on as if it had not stopped.

    With few iterations u and lambda lag behind the parameters. A lambda that lags can make training oscillate or
    diverge at a learning rate that suits exact gradients; with unrolled modes, where u alone is kept, K iterations see
    the last K terms of the adjoint's series only.

    Attributes:
        values: u, by solve; empty without warm starts.
        multipliers: lambda, by solve; `None` where no gradient needs an adjoint solve, or where the differentiation
            mode has none that starts from a guess (all but `Implicit`).
    """

    values: tuple[Any, ...] = ()
    multipliers: tuple[Any, ...] = ()

    @classmethod
    def zeros(cls, shape: tuple[int, ...], solves: int, adjoints: range) -> "Cache":
        """Return the cache before the first epoch, with a lambda for the solves that `adjoints` names.

        Args:
            shape: `(samples, *shape)`.
            solves: linear solves of one update.
            adjoints: which of them have an adjoint that is warm-started.
        """

        # A leaf each: training donates them, and a buffer can be donated once only.
        def zero() -> Any:
            return jnp.zeros(shape, jnp.result_type(float))

        return cls(
            tuple(zero() for _ in range(solves)),
            tuple(zero() if i in adjoints else None for i in range(solves)),
        )

    def take(self, indices: Any) -> "Cache":
        """Return the fields of a minibatch."""
        return jax.tree.map(lambda field: field[indices], self)

    def put(self, indices: Any, batch: "Cache") -> "Cache":
        """Return the cache with the fields of a minibatch replaced."""
        return jax.tree.map(lambda field, new: field.at[indices].set(new), self, batch)

    def guess(self, solve: int) -> Guess:
        """Return where a solve begins, zero if nothing is cached."""
        return Guess(self.values[solve], self.multipliers[solve]) if self.values else Guess()
