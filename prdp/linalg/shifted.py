"""A singular operator, made regular on the constants."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prdp.linalg.operators import Operator, static


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Shifted(Operator):
    """`A + s 1 1^T / n`, where `s` is the mean of the diagonal of `A`, and thus of its eigenvalues.

    If `A 1 = A^T 1 = 0`, it has the eigenvalue `s` on constants and is `A` on fields of mean zero.

    Args:
        original: `A`.
        axes: the trailing axes along which the fields `1` are constant, with `n` points. The others are not coupled.
    """

    original: Operator
    axes: int = static()

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """The shape of one system."""
        return self.original.shape

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        """As for `A`."""
        return self.original.symmetric

    def shift(self) -> Array:
        """Return `s`, with axes of length one in place of those of the system."""
        diagonal = self.original.diagonal()
        return jnp.mean(diagonal, axis=tuple(range(-self.rank, 0)), keepdims=True)

    def mv(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return `A u + s mean(u)`."""
        return self.original.mv(u) + self.shift() * jnp.mean(
            u, axis=tuple(range(-self.axes, 0)), keepdims=True
        )

    def transpose(self) -> "Shifted":
        """Return the shifted transpose."""
        return Shifted(self.original.transpose(), self.axes)

    def diagonal(self) -> Float[Array, "..."]:
        """Return `diag(A) + s/n`."""
        points = 1
        for n in self.shape[self.rank - self.axes :]:
            points *= n
        return self.original.diagonal() + self.shift() / points

    def astype(self, dtype: Any) -> "Shifted":
        """Return the operator with its parameters cast to `dtype`."""
        return Shifted(self.original.astype(dtype), self.axes)

    def without_non_finite(self) -> "Shifted":
        """See `Operator.without_non_finite`."""
        return Shifted(self.original.without_non_finite(), self.axes)
