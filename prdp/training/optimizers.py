"""Optimisers: optax transformations by their parameters."""

from dataclasses import dataclass

import optax

DECAYS = ("constant", "exponential", "cosine")


def _check_rate(learning_rate: float) -> None:
    if not 0 < learning_rate < float("inf"):
        raise ValueError(f"learning_rate={learning_rate}: allowed is a number > 0")


@dataclass(frozen=True)
class GradientDescent:
    """Plain gradient descent with a constant learning rate.

    Args:
        learning_rate: in units of parameter^2 / loss.

    Raises:
        ValueError: `learning_rate` is not positive.
    """

    learning_rate: float

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)

    def transformation(self) -> optax.GradientTransformation:
        """Return the optax transformation."""
        return optax.sgd(self.learning_rate)


@dataclass(frozen=True)
class Adam:
    """Adam with a decaying learning rate.

    `exponential`: `learning_rate * decay_rate^(step / transition_steps)`, continuous. `cosine`: to
    `decay_rate * learning_rate` over `transition_steps`.

    Args:
        learning_rate: initial rate.
        decay: `constant`, `exponential` or `cosine`.
        decay_rate: in `(0, 1]` (`[0, 1]` for cosine, where it is the floor).
        transition_steps: updates of one decay.
        b1, b2, epsilon: of Adam.

    Raises:
        ValueError: an argument is outside its range.
    """

    learning_rate: float
    decay: str = "exponential"
    decay_rate: float = 1.0
    transition_steps: int = 100
    b1: float = 0.9
    b2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)
        if self.decay not in DECAYS:
            raise ValueError(f"decay={self.decay!r}: allowed are {', '.join(DECAYS)}")
        if not (0 < self.decay_rate <= 1 or (self.decay == "cosine" and self.decay_rate == 0)):
            raise ValueError(f"decay_rate={self.decay_rate}: allowed is 0 < decay_rate <= 1")
        if self.transition_steps < 1:
            raise ValueError(f"transition_steps={self.transition_steps}: allowed is an integer >= 1")
        for key in ("b1", "b2"):
            if not 0 <= getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: allowed is 0 <= {key} < 1")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon={self.epsilon}: allowed is a number > 0")

    def transformation(self) -> optax.GradientTransformation:
        """Return the optax transformation."""
        rate: float | optax.Schedule = self.learning_rate
        if self.decay == "exponential":
            rate = optax.exponential_decay(rate, self.transition_steps, self.decay_rate)
        elif self.decay == "cosine":
            rate = optax.cosine_decay_schedule(rate, self.transition_steps, self.decay_rate)
        return optax.adam(rate, b1=self.b1, b2=self.b2, eps=self.epsilon)
