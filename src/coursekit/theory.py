"""Closed forms that the chapters draw over their measurements.

Symbols, for a deep network of dense layers with zero biases:

====  ===================================================================
n     width, the number of units in a layer
gain  g: kernels are drawn from N(0, g**2 / fan_in)
z, h  pre-activation and activation, h = phi(z)
q     variance of the pre-activations of a layer
chi   factor by which the *squared* norm of delta = dL/dz changes from one
      layer to the layer below it
====  ===================================================================

The theory is that of wide layers with Gaussian kernels: Poole et al. (2016)
for q, Schoenholz et al. (2017) for chi. "Slope" is always half the log10 of a
factor of squares: decades of a norm per layer, positive when the norm grows
on its way down, from the output towards the input.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import integrate, optimize, special, stats


class Activation(NamedTuple):
    """An elementwise activation phi and its derivative, on numpy arrays.

    Both may have a kink at 0 and must be smooth elsewhere.

    Parameters
    ----------
    function : callable
        phi(z), of the shape of z.
    derivative : callable
        phi'(z), of the shape of z.
    """

    function: Callable
    derivative: Callable


def _sigmoid_derivative(z):
    return special.expit(z) * special.expit(-z)


# Klambauer et al. (2017), eq. 14: the constants that make (mean 0, variance 1)
# a fixed point.
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _elu(alpha, scale=1.0):
    # minimum() keeps expm1 from overflowing in the branch not taken
    return Activation(
        lambda z: scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0))),
        lambda z: scale * np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0))),
    )


def _rectifier(negative_slope):
    return Activation(
        lambda z: np.where(z > 0, z, negative_slope * z),
        lambda z: np.where(z > 0, 1.0, negative_slope),
    )


def _mish_derivative(z, bent):
    return bent + z * special.expit(z) * (1 - bent**2)


ACTIVATIONS = {
    "linear": Activation(lambda z: z, np.ones_like),
    "relu": _rectifier(0.0),
    "leaky_relu": _rectifier(0.2),
    "elu": _elu(1.0),
    "selu": _elu(_SELU_ALPHA, _SELU_SCALE),
    "gelu": Activation(
        lambda z: z * special.ndtr(z),
        # not stats.norm.pdf: an integral calls this some 10,000 times
        lambda z: special.ndtr(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi),
    ),
    "silu": Activation(
        lambda z: z * special.expit(z),
        lambda z: special.expit(z) + z * _sigmoid_derivative(z),
    ),
    "softplus": Activation(lambda z: np.logaddexp(0.0, z), special.expit),
    "mish": Activation(
        lambda z: z * np.tanh(np.logaddexp(0.0, z)),
        lambda z: _mish_derivative(z, np.tanh(np.logaddexp(0.0, z))),
    ),
    "celu": _elu(1.0),
    "tanh": Activation(np.tanh, lambda z: 1.0 - np.tanh(z) ** 2),
    "softsign": Activation(
        lambda z: z / (1 + np.abs(z)), lambda z: (1 + np.abs(z)) ** -2.0
    ),
    "sigmoid": Activation(special.expit, _sigmoid_derivative),
}
ACTIVATIONS["swish"] = ACTIVATIONS["silu"]


def get_activation(identifier):
    """Look up an activation by its Keras name, function or definition.

    Parameters
    ----------
    identifier : str, callable, Activation or None
        A Keras name ("tanh"), Keras's function of that name, or an
        :class:`Activation` of your own. None is "linear", as in Keras.

    Raises
    ------
    ValueError
        If the name is not among ``ACTIVATIONS``.
    """
    if isinstance(identifier, Activation):
        return identifier
    name = "linear" if identifier is None else identifier
    name = getattr(name, "__name__", name)
    if name not in ACTIVATIONS:
        raise ValueError(
            f"activation={identifier!r}: theory knows {', '.join(ACTIVATIONS)}; "
            "for another one pass theory.Activation(function, derivative)"
        )
    return ACTIVATIONS[name]


def _gaussian_mean(function, q):
    """Return E[function(z)] for z ~ N(0, q).

    The integral is split at 0, where activations have their kinks: a rule that
    integrates across the kink gives .91 instead of 1 for critical ReLU.

    Parameters
    ----------
    function : callable
        Of a float; smooth except at 0.
    q : float
        Variance, at least 0.
    """
    if q == 0:
        return float(function(0.0))
    sd = math.sqrt(q)

    def integrand(z):
        return function(sd * z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    # For a large q the integrand changes near z = 1/sd: a second cut there.
    cut = min(1.0, 4.0 / sd)
    edges = [-12.0, -cut, 0.0, cut, 12.0]
    pieces = zip(edges[:-1], edges[1:], strict=True)
    return math.fsum(
        integrate.quad(integrand, a, b, epsabs=1e-13, epsrel=1e-11)[0]
        for a, b in pieces
    )


# --- initializers ---------------------------------------------------------


# scale and mode of the VarianceScaling that each of Keras's names stands for.
_VARIANCE_SCALING = {
    "Glorot": (1.0, "fan_avg"),
    "He": (2.0, "fan_in"),
    "Lecun": (1.0, "fan_in"),
}


def initializer_variance(initializer, fan_in, fan_out):
    """Return the variance that an initializer promises for its entries.

    Glorot: 2 / (fan_in + fan_out) (Glorot and Bengio 2010, eq. 12); He:
    2 / fan_in (He et al. 2015, eq. 10); LeCun: 1 / fan_in (LeCun et al. 1998,
    eq. 16). Keras cuts the normal versions at two standard deviations and
    widens them so that this variance holds. ``TruncatedNormal`` is cut and not
    widened: its variance is ``.774 stddev**2``.

    Parameters
    ----------
    initializer : str or keras.initializers.Initializer
        A Keras name such as "he_normal", or an instance.
    fan_in, fan_out : int
        Numbers of inputs and outputs of a unit.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For an initializer without a stated variance, or fans below 1.
    """
    for name, fan in (("fan_in", fan_in), ("fan_out", fan_out)):
        if not fan >= 1:
            raise ValueError(f"{name}={fan!r}: give a number of units, 1 or more")
    if isinstance(initializer, str):
        name = "".join(part.capitalize() for part in initializer.split("_"))
        config = {}
    else:
        name = type(initializer).__name__
        config = getattr(initializer, "get_config", dict)()

    family = name.removesuffix("Normal").removesuffix("Uniform")
    if family in _VARIANCE_SCALING and family != name:
        scale, mode = _VARIANCE_SCALING[family]
        return scale / _fan(mode, fan_in, fan_out)
    if name == "VarianceScaling":
        scale, mode = config.get("scale", 1.0), config.get("mode", "fan_in")
        return scale / _fan(mode, fan_in, fan_out)
    if name in ("RandomNormal", "TruncatedNormal"):
        variance = config.get("stddev", 0.05) ** 2
        # a normal distribution cut at two standard deviations
        cut = name == "TruncatedNormal"
        return variance * float(stats.truncnorm.var(-2, 2)) if cut else variance
    if name == "RandomUniform":
        low, high = config.get("minval", -0.05), config.get("maxval", 0.05)
        return (high - low) ** 2 / 12
    if name in ("Orthogonal", "OrthogonalInitializer"):
        return config.get("gain", 1.0) ** 2 / max(fan_in, fan_out)
    raise ValueError(
        f"initializer={initializer!r} has no stated variance here; known: "
        "glorot_, he_ and lecun_ uniform and normal, variance_scaling, "
        "random_normal, truncated_normal, random_uniform, orthogonal"
    )


def _fan(mode, fan_in, fan_out):
    fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    return fans[mode]


# --- depth ----------------------------------------------------------------


def pre_activation_variances(activation, gain, depth, q1):
    """Return q_1 ... q_depth, the pre-activation variance of each layer.

    ``q_{l+1} = gain**2 E[phi(z)**2]`` with z ~ N(0, q_l): Poole et al. (2016),
    eq. 3, with zero biases.

    Parameters
    ----------
    activation : str, callable or Activation
        See :func:`get_activation`.
    gain : float
        sqrt(fan_in) times the standard deviation of the kernels, above 0.
    depth : int
        Number of hidden layers, at least 1.
    q1 : float
        Variance in the first layer: for kernels of standard deviation s that
        read inputs x, ``s**2`` times the mean of ``||x||**2``.

    Returns
    -------
    numpy.ndarray of shape (depth,)

    Raises
    ------
    ValueError
        If an argument is out of range, named with what is accepted.
    """
    phi = get_activation(activation).function
    gain, q1 = _positive("gain", gain), _positive("q1", q1)
    q = [q1]
    for _ in range(_count("depth", depth) - 1):
        q.append(gain**2 * _gaussian_mean(lambda z: phi(z) ** 2, q[-1]))
    return np.array(q)


def chi(activation, gain, q):
    """Return the factor of the squared norm of delta per layer, going down.

    ``chi = gain**2 E[phi'(z)**2]`` with z ~ N(0, q): Schoenholz et al. (2017),
    eq. 5. Below 1 gradients vanish with depth, above 1 they explode.

    Parameters
    ----------
    activation, gain
        As in :func:`pre_activation_variances`.
    q : float
        Pre-activation variance of the layer, at least 0.

    Returns
    -------
    float
    """
    derivative = get_activation(activation).derivative
    gain = _positive("gain", gain)
    q = q if q == 0 else _positive("q", q)
    return gain**2 * _gaussian_mean(lambda z: derivative(z) ** 2, q)


def delta_slopes(activation, gain, depth, q1):
    """Return the predicted slope of the log10 norm of delta at each layer.

    Entry l is ``log10 ||delta_l|| / ||delta_{l+1}|| = 1/2 log10 chi(q_l)``, for
    the layers l = 1 ... depth - 1, along the q_l that the network really has
    rather than at their fixed point.

    Parameters
    ----------
    activation, gain, depth, q1
        As in :func:`pre_activation_variances`; ``depth`` at least 2.

    Returns
    -------
    numpy.ndarray of shape (depth - 1,), decades per layer
    """
    q = pre_activation_variances(activation, gain, _count("depth", depth, 2), q1)
    return np.array([0.5 * math.log10(chi(activation, gain, v)) for v in q[:-1]])


def delta_profile(activation, gain, depth, q1):
    """Return the predicted norm of each layer's delta over the top one's.

    The product of the factors of :func:`delta_slopes` from the top hidden
    layer down; the last entry is 1.

    Returns
    -------
    numpy.ndarray of shape (depth,)
    """
    slopes = delta_slopes(activation, gain, depth, q1)
    return 10.0 ** np.append(np.cumsum(slopes[::-1])[::-1], 0.0)


def finite_width_band(activation, gain, depth, width, q1):
    """Return how far networks of finite width stray from the wide limit.

    Given the layers above it, each entry of W^T delta is Gaussian, so one
    layer multiplies ``||delta||**2`` by a factor of mean chi and relative
    variance kappa / width with ``kappa = 3 E[phi'**4] / E[phi'**2]**2 - 1``.
    Over k layers ``ln ||delta||**2`` then has mean k (ln chi - kappa / 2 width)
    and variance k kappa / width. For ReLU kappa = 5 (Hanin and Nica 2020), for
    linear layers 2. Fluctuations of q_l are left out, so the band is exact to
    leading order only where phi' does not depend on the scale of z (linear,
    ReLU) or q_l stays small.

    Parameters
    ----------
    activation, gain, depth, q1
        As in :func:`delta_slopes`.
    width : int
        Units in each hidden layer.

    Returns
    -------
    centre, sd : numpy.ndarray of shape (depth,)
        Mean and standard deviation over initializations of
        ``log10 ||delta_l|| / ||delta_depth||``, in decades.
    """
    derivative = get_activation(activation).derivative
    q = pre_activation_variances(activation, gain, _count("depth", depth, 2), q1)
    width = _count("width", width)
    kappa = [_kappa(derivative, v) for v in q[:-1]]
    variance = np.append(np.cumsum(kappa[::-1])[::-1], 0.0) / width
    wide = np.log10(delta_profile(activation, gain, depth, q1))
    per_decade = 2 * math.log(10)
    return wide - variance / 2 / per_decade, np.sqrt(variance) / per_decade


def _kappa(derivative, q):
    fourth = _gaussian_mean(lambda z: derivative(z) ** 4, q)
    second = _gaussian_mean(lambda z: derivative(z) ** 2, q)
    return 3 * fourth / second**2 - 1


def depth_scale(chi_value):
    """Return the depth over which the squared norm changes by a factor e.

    ``1 / |ln chi|`` layers: Schoenholz et al. (2017), eq. 9. Infinite at chi = 1.
    """
    logarithm = abs(math.log(_positive("chi_value", chi_value)))
    return math.inf if logarithm == 0 else 1 / logarithm


# --- critical gain --------------------------------------------------------

# Between these variances a fixed point of q is looked for; one outside them
# stands for "shrinks to 0" or "grows without bound".
_Q_RANGE = (1e-12, 1e12)


def fixed_point(activation, gain, q=_Q_RANGE[0]):
    """Return the variance that a deep network's layers tend to.

    Solves ``q = gain**2 E[phi(z)**2]``, z ~ N(0, q). Where q shrinks to 0 or grows
    without bound, the end of the searched range (1e-12, 1e12) is returned.

    Parameters
    ----------
    activation, gain
        As in :func:`pre_activation_variances`.
    q : float
        Variance to start from, small by default. GELU and swish have two ends:
        small variances shrink where large ones grow.
    """
    phi = get_activation(activation).function
    gain = _positive("gain", gain)

    def growth(log_q):
        q = math.exp(log_q)
        return math.log(gain**2 * _gaussian_mean(lambda z: phi(z) ** 2, q)) - log_q

    ends = [math.log(q) for q in _Q_RANGE]
    start = min(max(math.log(_positive("q", q)), ends[0]), ends[1])
    up = growth(start) > 0
    end = ends[1] if up else ends[0]
    if start == end or (growth(end) > 0) == up:
        return _Q_RANGE[1] if up else _Q_RANGE[0]
    return math.exp(optimize.brentq(growth, *sorted((start, end)), xtol=1e-12))


def critical_gain(activation, depth=None, q0=None):
    """Return the gain at which delta neither shrinks nor grows.

    The equation is solved, not tabulated. With ``depth=None`` it is chi = 1 at
    the variance that the layers tend to (Schoenholz et al. 2017). At a finite
    depth q_l is still moving, so the answer depends on the depth: there it is the
    gain at which the slopes of :func:`delta_slopes` sum to 0.

    Parameters
    ----------
    activation
        See :func:`get_activation`.
    depth : int or None
        Number of hidden layers, at least 2; None for the limit of many.
    q0 : float, optional
        Mean square of the network's inputs, so that ``q_1 = gain**2 q0``. Needed
        where inputs of different sizes end differently: at a finite depth for all
        but ReLU and its like, in the limit for GELU and swish.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If no gain between .01 and 100 is critical, or the answer depends on
        ``q0`` and that is not given.
    """
    if q0 is not None:
        return _critical(activation, depth, _positive("q0", q0))
    sizes = (_Q_RANGE[0], _LARGE) if depth is None else _ORDINARY
    small = _critical(activation, depth, sizes[0])
    large = _critical(activation, depth, sizes[1], xtol=1e-5)
    # in the limit, where they differ it is by tens of percent
    if abs(small - large) > 0.01 * small:
        raise ValueError(
            f"the critical gain of {activation!r} depends on the size of the inputs: "
            f"{small:.3g} for small ones, {large:.3g} for large ones. Give q0, their "
            "mean square, and the depth"
        )
    return small


# Mean square of inputs that are large to every activation here.
_LARGE = 1e8
# Mean squares of inputs as they come: at a finite depth larger ones have no answer.
_ORDINARY = 0.1, 10.0


def _critical(activation, depth, q0, xtol=1e-9):
    def slope(gain):
        q1 = gain**2 * q0
        if depth is None:
            return math.log(chi(activation, gain, fixed_point(activation, gain, q1)))
        return delta_slopes(activation, gain, depth, q1).sum()

    low, high = 0.01, 100.0
    if not slope(low) < 0 < slope(high):
        raise ValueError(
            f"activation {activation!r} has no critical gain between "
            f"{low} and {high} at depth={depth}"
        )
    return optimize.brentq(slope, low, high, xtol=xtol, maxiter=1000)


# --- BatchNorm ------------------------------------------------------------


def batchnorm_growth(activation="relu"):
    """Return the factor of ||delta|| per layer with BatchNorm before phi.

    ``sqrt(E[phi'(z)**2] / Var[phi(z)])``, z ~ N(0, 1), in the limit of wide layers
    and large batches: normalization divides by the standard deviation *across
    the batch*, which knows Var[phi] but not the mean of phi. For ReLU it is
    sqrt(pi / (pi - 1)) = 1.211 (Yang et al. 2019, section 5), whatever the scale
    of the kernels.

    Returns
    -------
    float
    """
    phi, derivative = get_activation(activation)
    mean = _gaussian_mean(phi, 1.0)
    variance = _gaussian_mean(lambda z: phi(z) ** 2, 1.0) - mean**2
    return math.sqrt(_gaussian_mean(lambda z: derivative(z) ** 2, 1.0) / variance)


def _positive(name, value):
    if not (np.isscalar(value) and 0 < value < math.inf):
        raise ValueError(f"{name}={value!r}: give a positive number")
    return float(value)


def _count(name, value, least=1):
    if not (isinstance(value, int | np.integer) and value >= least):
        raise ValueError(f"{name}={value!r}: give an integer, {least} or more")
    return int(value)
