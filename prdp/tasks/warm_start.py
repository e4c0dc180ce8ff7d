"""Warm starts: each solve of a training sample starts from the sample's last solution."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Guess(NamedTuple):
    """The initial guesses of one solve of a minibatch and of its adjoint solve; `None` means zero.

    Attributes:
        value: u, through which no gradient passes.
        multiplier: lambda. Its cotangent is the new lambda, see `prdp.solve`.
    """

    value: Any = None
    multiplier: Any = None


class Cache(NamedTuple):
    """The last u and lambda of each training sample, one field `(samples, *shape)` for each solve of an update.

    A warm start therefore stores two fields per sample and solve (one if there is no lambda), and costs one more
    product with `A` per solve. The cache is part of the training state. Checkpoints contain it, so a resumed run
    continues as if it had not been interrupted.

    With few iterations, u and lambda lag behind the parameters. A lagging lambda can make training oscillate or diverge
    at a learning rate that suits exact gradients. Unrolled modes keep only u, and K iterations then contribute only the
    last K terms of the adjoint's series.

    Attributes:
        values: u of each solve; empty without warm starts.
        multipliers: lambda of each solve; `None` if no gradient needs an adjoint solve, or if the adjoint of the
            differentiation mode takes no guess (all modes but `Implicit`).
    """

    values: tuple[Any, ...] = ()
    multipliers: tuple[Any, ...] = ()

    @classmethod
    def zeros(cls, shape: tuple[int, ...], solves: int, adjoints: range) -> "Cache":
        """Return the cache before the first epoch, with a lambda for the solves in `adjoints`.

        Args:
            shape: `(samples, *shape)`.
            solves: the number of linear solves per update.
            adjoints: the indices of the solves whose adjoint is warm-started.
        """

        # Every leaf is a separate array: training donates the buffers, and each can be donated only once.
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
        """Return the initial guesses of a solve, zero if nothing is cached."""
        return Guess(self.values[solve], self.multipliers[solve]) if self.values else Guess()
