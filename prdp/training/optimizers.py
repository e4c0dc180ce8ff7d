"""Optimisers: optax transformations by their parameters."""

from dataclasses import dataclass

import optax

from prdp.checks import integer, one_of, positive, within

DECAYS = ("constant", "exponential", "cosine")


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
        positive("learning_rate", self.learning_rate)

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
        positive("learning_rate", self.learning_rate)
        one_of("decay", self.decay, DECAYS)
        if not (self.decay == "cosine" and self.decay_rate == 0):
            within("decay_rate", self.decay_rate, lambda x: 0 < x <= 1, "0 < decay_rate <= 1")
        integer("transition_steps", self.transition_steps, 1)
        for key in ("b1", "b2"):
            within(key, getattr(self, key), lambda x: 0 <= x < 1, f"0 <= {key} < 1")
        positive("epsilon", self.epsilon)

    def transformation(self) -> optax.GradientTransformation:
        """Return the optax transformation."""
        rate: float | optax.Schedule = self.learning_rate
        if self.decay == "exponential":
            rate = optax.exponential_decay(rate, self.transition_steps, self.decay_rate)
        elif self.decay == "cosine":
            rate = optax.cosine_decay_schedule(rate, self.transition_steps, self.decay_rate)
        return optax.adam(rate, b1=self.b1, b2=self.b2, eps=self.epsilon)
