"""What to do about a verdict: the line to write, the chapter that shows it."""

from dataclasses import dataclass

from coursekit.clinic.diagnosis.rules import growth_at_start


@dataclass(frozen=True)
class Remedy:
    """One thing to try.

    Attributes
    ----------
    text : str
        What to do, and when it helps.
    code : str
        The Keras line.
    chapter : str
        The page of the book that shows it working, without its ending.
    """

    text: str
    code: str
    chapter: str

    def __str__(self):
        """Return the advice in a line."""
        return f"{self.text}: {self.code} (chapter {self.chapter})"


INITIALIZE = Remedy(
    "Draw the kernels at the scale that keeps delta constant over depth",
    "Dense(n, 'relu', kernel_initializer='he_normal')",
    "initializers",
)
ACTIVATE = Remedy(
    "Replace the sigmoids of the hidden layers, which shrink delta at any usual scale",
    "Dense(n, 'tanh')",
    "initializers",
)
NORMALIZE = Remedy(
    "Normalize between the kernel and the activation",
    "Dense(n, use_bias=False); BatchNormalization(); Activation('relu')",
    "batchnorm",
)
CLIP = Remedy(
    "Clip the gradient's norm; it keeps the steps finite and repairs no bad "
    "initialization",
    "SGD(learning_rate, global_clipnorm=1.0)",
    "clipping",
)
LOWER = Remedy(
    "Lower the learning rate by ten until the loss falls",
    "model.optimizer.learning_rate = learning_rate / 10",
    "exploding",
)
SCALE = Remedy(
    "Bring the inputs to mean 0 and variance 1, targets too if they are large",
    "layer = Normalization(); layer.adapt(x)",
    "exploding",
)
CLEAN = Remedy(
    "Remove what is not finite from the data: no layer can repair it",
    "x = x[np.isfinite(x).all(axis=1)]",
    "exploding",
)
ALIVE = Remedy(
    "Let negative inputs pass a little, so that no unit can die",
    "Dense(n, 'leaky_relu', kernel_initializer='he_normal')",
    "initializers",
)
ZERO_BIAS = Remedy(
    "Start from zero biases and the initializer made for the activation",
    "Dense(n, 'relu', kernel_initializer='he_normal', bias_initializer='zeros')",
    "initializers",
)
OUTPUT = Remedy(
    "Give the output an activation that fits the loss: none for regression, one "
    "sigmoid for two classes; softmax over one unit is always 1, ReLU can be 0",
    "Dense(1, activation='sigmoid')",
    "vanishing",
)
CONNECT = Remedy(
    "See that the loss reaches every layer: no stop_gradient, rounding or argmax "
    "between them",
    "coursekit.probe(model, x, y)",
    "vanishing",
)
GATES = Remedy(
    "Use gates with an open forget gate, or an orthogonal recurrent kernel",
    "LSTM(n, unit_forget_bias=True)",
    "exploding",
)
SHORTEN = Remedy(
    "Shorten the sequences that the loss must reach through",
    "x = x[:, -steps:]",
    "exploding",
)


def remedies(judgement, trace, bad_batch=False):
    """Return the remedies of a judgement, the first to try first."""
    verdict = judgement.verdict
    recurrent = any(judgement.layer in r.time_norm for _, r in trace.probes)
    if verdict == "vanishing":
        return (GATES, SHORTEN) if recurrent else (INITIALIZE, ACTIVATE, NORMALIZE)
    if verdict == "exploding":
        if bad_batch:
            return (CLEAN,)
        if recurrent:
            return (CLIP, GATES, LOWER)
        at_start = judgement.step == 0 or growth_at_start(trace) is not None
        first = (INITIALIZE, SCALE) if at_start else (LOWER, SCALE, INITIALIZE)
        return (*first, CLIP)
    if verdict == "dead_units":
        return (ZERO_BIAS, LOWER, ALIVE) if judgement.step else (ZERO_BIAS, ALIVE)
    if verdict == "no_gradient":
        return (OUTPUT, CONNECT, ZERO_BIAS)
    return ()
