"""Closed forms against Keras's draws, other integrals and simulation."""

import math

import keras
import numpy as np
import pytest
from scipy import integrate, special

from coursekit import theory
from coursekit._taps import BOUNDS

FAN_IN, FAN_OUT = 300, 100
TRUNCATED = 0.87962566103423978**2

INITIALIZERS = {
    "glorot_uniform": 2 / 400,
    "glorot_normal": 2 / 400,
    "he_uniform": 2 / 300,
    "he_normal": 2 / 300,
    "lecun_uniform": 1 / 300,
    "lecun_normal": 1 / 300,
}


def _instances():
    make = keras.initializers
    return [
        (make.VarianceScaling(3.0, "fan_out", "uniform"), 3 / 100),
        (make.VarianceScaling(0.5, "fan_avg", "truncated_normal"), 0.5 / 200),
        (make.RandomNormal(stddev=0.2), 0.04),
        (make.TruncatedNormal(stddev=0.2), 0.04 * TRUNCATED),
        (make.RandomUniform(-0.1, 0.3), 0.4**2 / 12),
        (make.Orthogonal(gain=1.5), 1.5**2 / 300),
    ]


CASES = [(keras.initializers.get(n), v) for n, v in INITIALIZERS.items()] + _instances()


@pytest.mark.parametrize(
    "initializer, expected", CASES, ids=lambda c: type(c).__name__ + "-"
)
def test_initializer_variance_is_that_of_keras_draws(initializer, expected):
    promised = theory.initializer_variance(initializer, FAN_IN, FAN_OUT)
    assert promised == pytest.approx(expected, rel=1e-9)
    config = initializer.get_config()
    drawn = [
        type(initializer).from_config({**config, "seed": s})((FAN_IN, FAN_OUT))
        for s in range(4)
    ]
    # 120 000 entries: the sampling error of a normal's variance is .4 %
    assert np.var(np.array(drawn)) == pytest.approx(promised, rel=0.02)


@pytest.mark.parametrize(
    "name, expected",
    [
        *INITIALIZERS.items(),
        ("random_normal", 0.05**2),
        ("truncated_normal", 0.05**2 * TRUNCATED),
        ("random_uniform", 0.1**2 / 12),
        ("variance_scaling", 1 / 300),
        ("orthogonal", 1 / 300),
    ],
)
def test_initializer_variance_by_name(name, expected):
    found = theory.initializer_variance(name, FAN_IN, FAN_OUT)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("initializer", ["zeros", "no_such", keras.initializers.Ones()])
def test_initializer_without_a_variance_is_refused(initializer):
    with pytest.raises(ValueError, match=r"initializer=.*glorot_"):
        theory.initializer_variance(initializer, 3, 3)


@pytest.mark.parametrize("fans, name", [((0, 3), "fan_in"), ((3, -1), "fan_out")])
def test_initializer_variance_names_the_fan(fans, name):
    with pytest.raises(ValueError, match=rf"{name}=.*1 or more"):
        theory.initializer_variance("he_normal", *fans)


def _gelu_derivative(z):
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return (1 + special.erf(z / math.sqrt(2))) / 2 + z * density


# Written here once more, from the papers: value and derivative.
DEFINITIONS = {
    "linear": (lambda z: z, lambda z: 1.0),
    "relu": (lambda z: max(z, 0.0), lambda z: float(z > 0)),
    "leaky_relu": (lambda z: max(z, 0.2 * z), lambda z: 1.0 if z > 0 else 0.2),
    "tanh": (math.tanh, lambda z: 1 / math.cosh(z) ** 2),
    "sigmoid": (
        lambda z: (1 + math.tanh(z / 2)) / 2,
        lambda z: 1 / (4 * math.cosh(z / 2) ** 2),
    ),
    "elu": (
        lambda z: z if z > 0 else math.exp(z) - 1,
        lambda z: 1.0 if z > 0 else math.exp(z),
    ),
    "selu": (
        lambda z: (
            1.0507009873554805
            * (z if z > 0 else 1.6732632423543772 * (math.exp(z) - 1))
        ),
        lambda z: (
            1.0507009873554805 * (1 if z > 0 else 1.6732632423543772 * math.exp(z))
        ),
    ),
    "gelu": (
        lambda z: z * (1 + math.erf(z / math.sqrt(2))) / 2,
        _gelu_derivative,
    ),
    "silu": (
        lambda z: z / (1 + math.exp(-z)),
        lambda z: (1 + math.exp(-z) * (1 + z)) / (1 + math.exp(-z)) ** 2,
    ),
    "softplus": (
        lambda z: math.log1p(math.exp(z)),
        lambda z: 1 / (1 + math.exp(-z)),
    ),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2),
    "celu": (
        lambda z: z if z > 0 else math.expm1(z),
        lambda z: 1.0 if z > 0 else math.exp(z),
    ),
    # by differences: its derivative is easily written down wrong
    "mish": (
        lambda z: z * math.tanh(math.log1p(math.exp(z))),
        lambda z: (_mish(z + 1e-5) - _mish(z - 1e-5)) / 2e-5,
    ),
}


def _mish(z):
    return z * math.tanh(math.log1p(math.exp(z)))


def _mean_of_square(function, q):
    """E[function(z)**2], integrated over z itself."""
    sd = math.sqrt(q)

    def integrand(z):
        density = math.exp(-z * z / (2 * q)) / math.sqrt(2 * math.pi * q)
        return function(z) ** 2 * density

    # adaptive, and asked for digits: it finds a kink wherever one is
    digits = {"epsabs": 0, "epsrel": 1e-9, "limit": 400}
    return integrate.quad(integrand, -10 * sd, 10 * sd, points=[0.0], **digits)[0]


@pytest.mark.parametrize("q", [0.03, 1.0, 40.0])
@pytest.mark.parametrize("kink", [0.4, 2.7, 6.0])
def test_the_independent_integral_finds_a_kink_elsewhere(kink, q):
    """Of a hard tanh, whose mean square has a closed form."""
    end = kink / math.sqrt(q)
    inside = math.erf(end / math.sqrt(2))
    tail = 2 * end * math.exp(-end * end / 2) / math.sqrt(2 * math.pi)
    expected = q * (inside - tail) + kink**2 * (1 - inside)
    found = _mean_of_square(lambda z: np.clip(z, -kink, kink), q)
    assert found == pytest.approx(expected, rel=1e-8)
    slope = _mean_of_square(lambda z: float(abs(z) < kink), q)
    assert slope == pytest.approx(inside, rel=1e-8)


def test_every_activation_is_checked():
    assert set(theory.ACTIVATIONS) == {*DEFINITIONS, "swish"}


def test_the_probe_knows_the_ends_of_what_saturates():
    with np.errstate(over="ignore"):
        ends = {
            n: [a.function(s * 1e9) for s in (-1, 1)]
            for n, a in theory.ACTIVATIONS.items()
        }
    bounded = {name for name, both in ends.items() if np.abs(both).max() < 1e3}
    assert bounded == theory.ACTIVATIONS.keys() & BOUNDS.keys()
    for name in bounded:
        assert ends[name] == pytest.approx(BOUNDS[name], abs=1e-6)


@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize("q", [0.03, 1.0, 40.0])
def test_chi_and_q_against_an_independent_integral(name, q):
    function, derivative = DEFINITIONS[name]
    expected = 1.3**2 * _mean_of_square(derivative, q)
    assert theory.chi(name, 1.3, q) == pytest.approx(expected, rel=1e-7)
    expected = [q, 1.3**2 * _mean_of_square(function, q)]
    found = theory.pre_activation_variances(name, 1.3, 2, q)
    assert found == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_definitions_are_those_of_keras(name):
    z = np.linspace(-4, 4, 33, dtype="float64")
    keras_value = np.asarray(keras.activations.get(name)(keras.ops.array(z, "float64")))
    function = theory.get_activation(keras.activations.get(name)).function
    # Keras's gelu takes no approximation here
    np.testing.assert_allclose(function(z), keras_value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("q", [1e-10, 1.0, 1e8])
def test_chi_of_scale_free_activations(q):
    assert theory.chi("relu", math.sqrt(2), q) == pytest.approx(1, rel=1e-9)
    assert theory.chi("linear", 0.7, q) == pytest.approx(0.49, rel=1e-9)


@pytest.mark.parametrize("q", [0.0, 1e-12])
def test_chi_of_sigmoid_at_small_q(q):
    assert theory.chi("sigmoid", 3.0, q) == pytest.approx(9 / 16, rel=1e-9)


@pytest.mark.parametrize(
    "name, expected, tolerance",
    [
        ("linear", 1.0, 1e-6),
        ("tanh", 1.0, 1e-4),
        ("relu", math.sqrt(2), 1e-6),
        ("leaky_relu", math.sqrt(2 / 1.04), 1e-6),
        ("sigmoid", 10.15, 0.005),
    ],
)
def test_critical_gain_of_a_deep_network(name, expected, tolerance):
    assert theory.critical_gain(name) == pytest.approx(expected, abs=tolerance)


def test_critical_gain_at_finite_depth():
    gain = theory.critical_gain("tanh", depth=20, q0=1.0)
    assert gain > 1.02
    assert theory.delta_slopes("tanh", gain, 20, gain**2).sum() == pytest.approx(
        0, abs=1e-7
    )
    smaller_inputs = theory.critical_gain("tanh", depth=20, q0=0.1)
    assert 1 < smaller_inputs < gain
    # inputs of any size end alike where the scale does not matter
    assert theory.critical_gain("relu", depth=20) == pytest.approx(math.sqrt(2))
    for name in ("tanh", "gelu"):
        with pytest.raises(ValueError, match=r"size of the inputs: .* Give q0"):
            theory.critical_gain(name, depth=20)


@pytest.mark.parametrize("name", ["gelu", "silu", "swish", "mish"])
def test_critical_gain_asks_for_the_size_of_the_inputs(name):
    with pytest.raises(ValueError, match=r"size of the inputs: .* Give q0"):
        theory.critical_gain(name)
    # small inputs see the slope at 0, large ones a ReLU
    slope = theory.get_activation(name).derivative(0.0)
    small = theory.critical_gain(name, q0=1e-9)
    assert small == pytest.approx(1 / slope, rel=1e-3)
    large = theory.critical_gain(name, q0=1e6)
    assert large == pytest.approx(math.sqrt(2), rel=1e-3)
    between = theory.critical_gain(name, q0=1.0)
    assert large < between < small
    deep = theory.critical_gain(name, depth=50, q0=1.0)
    assert deep == pytest.approx(between, rel=0.01)


def test_a_small_variance_shrinks_where_a_large_one_grows():
    assert theory.fixed_point("gelu", 1.7) == 1e-12
    assert theory.fixed_point("gelu", 1.7, q=1e3) == 1e12
    # from both sides to one and the same
    low, high = (theory.fixed_point("tanh", 1.5, q=q) for q in (1e-3, 1e3))
    assert low == pytest.approx(high, rel=1e-9)


def test_critical_gain_that_does_not_exist():
    constant = theory.Activation(np.ones_like, lambda z: 1e-9 * np.ones_like(z))
    with pytest.raises(ValueError, match="no critical gain between"):
        theory.critical_gain(constant, depth=3)


@pytest.mark.parametrize("gain", [1.2, 3.0])
def test_fixed_point_is_where_the_layers_tend_to(gain):
    q = theory.pre_activation_variances("tanh", gain, 300, 1.0)[-1]
    assert theory.fixed_point("tanh", gain) == pytest.approx(q, rel=1e-6)


def test_fixed_point_at_the_ends():
    assert theory.fixed_point("tanh", 0.5) == 1e-12
    assert theory.fixed_point("linear", 1.5) == 1e12


def test_delta_profile_multiplies_the_slopes_from_the_top():
    profile = theory.delta_profile("linear", 0.1, 4, 1.0)
    np.testing.assert_allclose(profile, [1e-3, 1e-2, 1e-1, 1], rtol=1e-9)


def test_batchnorm_growth():
    expected = math.sqrt(math.pi / (math.pi - 1))
    assert theory.batchnorm_growth() == pytest.approx(expected, rel=1e-9)
    assert theory.batchnorm_growth("linear") == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("name, kappa", [("relu", 5), ("linear", 2)])
def test_finite_width_band_of_scale_free_activations(name, kappa):
    depth, width = 7, 50
    centre, sd = theory.finite_width_band(name, 1.3, depth, width, 1.0)
    above = np.arange(depth - 1, -1, -1)
    chi = {"relu": 1.3**2 / 2, "linear": 1.3**2}[name]
    logs = above * (math.log(chi) - kappa / (2 * width))
    np.testing.assert_allclose(centre, logs / 2 / math.log(10), atol=1e-9)
    np.testing.assert_allclose(
        sd, np.sqrt(above * kappa / width) / 2 / math.log(10), atol=1e-9
    )


def test_finite_width_band_against_products_of_random_matrices():
    width, depth, draws = 50, 20, 400
    rng = np.random.default_rng(7)
    delta = rng.normal(size=(draws, width, 1))
    start = np.log10(np.linalg.norm(delta, axis=(1, 2)))
    for _ in range(depth - 1):
        kernel = rng.normal(scale=0.9 / math.sqrt(width), size=(draws, width, width))
        delta = kernel @ delta
    logs = np.log10(np.linalg.norm(delta, axis=(1, 2))) - start
    centre, sd = theory.finite_width_band("linear", 0.9, depth, width, 1.0)
    # three standard errors, and the next order in 1/width for the spread
    assert logs.mean() == pytest.approx(centre[0], abs=3 * sd[0] / math.sqrt(draws))
    assert logs.std() == pytest.approx(sd[0], rel=3 / math.sqrt(2 * draws) + 1 / width)


def test_depth_scale():
    assert theory.depth_scale(math.exp(-0.25)) == pytest.approx(4)
    assert theory.depth_scale(math.exp(0.25)) == pytest.approx(4)
    assert theory.depth_scale(1) == math.inf


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: theory.chi("hard_swish", 1.0, 1.0), "activation"),
        (lambda: theory.chi("relu", 0, 1.0), "gain"),
        (lambda: theory.chi("relu", math.nan, 1.0), "gain"),
        (lambda: theory.chi("relu", 1.0, -1.0), "q"),
        (lambda: theory.pre_activation_variances("relu", 1.0, 0, 1.0), "depth"),
        (lambda: theory.pre_activation_variances("relu", 1.0, 3, 0.0), "q1"),
        (lambda: theory.delta_slopes("relu", 1.0, 1, 1.0), "depth"),
        (lambda: theory.delta_slopes("relu", 1.0, 2.5, 1.0), "depth"),
        (lambda: theory.finite_width_band("relu", 1.0, 3, 0, 1.0), "width"),
        (lambda: theory.critical_gain("relu", depth=1), "depth"),
        (lambda: theory.critical_gain("relu", q0=-1.0), "q0"),
        (lambda: theory.depth_scale(0.0), "chi_value"),
    ],
)
def test_errors_name_the_argument(call, name):
    with pytest.raises(ValueError, match=rf"^{name}="):
        call()
