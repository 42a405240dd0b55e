"""Option values by Black-76 in integers, the same on every machine, bit for bit.

Source: F. Black, "The pricing of commodity contracts", Journal of Financial Economics 3 (1976), with an interest rate
of zero. Ratios, logarithms and probabilities are in billionths (`_nano`), prices in micros.
"""

ONE = 1_000_000_000
# The table is computed with this many units for 1, and then rounded to billionths.
_FINE = 10**24
# The steps of the table of the normal distribution for 1 standard deviation, and its end.
_STEPS = 64
_STEP = ONE // _STEPS
_END = 7 * _STEPS
# 2^60 units for 1, and the logarithm of 2 in them.
_LOG_UNIT = 1 << 60
_LOG_2 = 799_144_290_325_165_979
_ROOT_2_PI = 2_506_628_274_631_000_502_415_765
# Terms of the Taylor series from one step to the next. The first one left out is below 64^-12.
_TERMS = 12


def log_nano(value: int) -> int:
    """Return the natural logarithm of a whole number above zero, in billionths, to within one of them.

    The number is 2^n · m with m from 2/3 to 4/3, and log m = 2 · artanh((m - 1) / (m + 1)).
    """
    exponent = value.bit_length()
    if 3 * value < 2 << exponent:
        exponent -= 1
    scaled = value * _LOG_UNIT >> exponent if exponent >= 0 else value * _LOG_UNIT
    y = (scaled - _LOG_UNIT) * _LOG_UNIT // (scaled + _LOG_UNIT)
    square = y * y // _LOG_UNIT
    term = total = y
    for odd in range(3, 31, 2):
        term = term * square // _LOG_UNIT
        total += term // odd
    return (2 * total + exponent * _LOG_2) * ONE // _LOG_UNIT


def _normal_table() -> tuple[list[int], list[int], list[int], list[int]]:
    """Return, for each step, the coefficients of the Taylor polynomial of the normal distribution.

    They are its value, the density d, -x · d / 2 and (x² - 1) · d / 6. Each step leads to the next by the series of the
    density about x, whose coefficients follow from d' = -x · d: c0 = d, c1 = -x · c0, and c(n+1) = -(x · cn + c(n-1)) /
    (n + 1).
    """
    values: list[int] = []
    slopes: list[int] = []
    seconds: list[int] = []
    thirds: list[int] = []
    value, density = _FINE // 2, _FINE * _FINE // _ROOT_2_PI
    for step in range(_END + 1):
        x = step * _FINE // _STEPS
        values.append(_rounded(value))
        slopes.append(_rounded(density))
        seconds.append(_rounded(-x * density // (2 * _FINE)))
        thirds.append(_rounded((x * x // _FINE - _FINE) * density // (6 * _FINE)))
        before, coefficient, power = 0, density, 1
        density = 0
        for n in range(_TERMS):
            density += coefficient // power
            value += coefficient // (power * _STEPS * (n + 1))
            before, coefficient = coefficient, -(x * coefficient // _FINE + before) // (n + 1)
            power *= _STEPS
    return values, slopes, seconds, thirds


def _rounded(fine: int) -> int:
    """Return a number in units of _FINE in billionths, rounded half up."""
    unit = _FINE // ONE
    return (fine + unit // 2) // unit


_VALUES, _SLOPES, _SECONDS, _THIRDS = _normal_table()


def normal_nano(x_nano: int) -> int:
    """Return the cumulative normal distribution at `x_nano`, in billionths, with an error of at most 3.

    It is the Taylor polynomial of third order about the nearest step, at most 1/128 away. The remainder is below
    max|density'''| · (1/128)⁴ / 24 < 2.2e-10, and each of the four roundings adds at most half a billionth.
    """
    x = -x_nano if x_nano < 0 else x_nano
    step = (x + _STEP // 2) // _STEP
    if step > _END:
        return 0 if x_nano < 0 else ONE
    d = x - step * _STEP
    value = ((_THIRDS[step] * d // ONE + _SECONDS[step]) * d // ONE + _SLOPES[step]) * d // ONE + _VALUES[step]
    if value > ONE:
        value = ONE
    return ONE - value if x_nano < 0 else value


def density_nano(x_nano: int) -> int:
    """Return the density of the normal distribution at `x_nano`, in billionths: the slope of `normal_nano`."""
    x = -x_nano if x_nano < 0 else x_nano
    step = (x + _STEP // 2) // _STEP
    if step > _END:
        return 0
    d = x - step * _STEP
    return max(0, (3 * _THIRDS[step] * d // ONE + 2 * _SECONDS[step]) * d // ONE + _SLOPES[step])


def call_micros(forward_micros: int, strike_micros: int, log_nano: int, deviation_nano: int) -> int:
    """Return the value of a call: F · N(d1) - K · N(d2), with d1 = -log(K/F)/s + s/2 and d2 = d1 - s.

    `log_nano` is log(K/F), and `deviation_nano` is s, the volatility until expiry. The value lies between max(F - K, 0)
    and F. Rounded half up.
    """
    floor_micros = forward_micros - strike_micros if forward_micros > strike_micros else 0
    if deviation_nano <= 0:
        return floor_micros
    d1 = -log_nano * ONE // deviation_nano + deviation_nano // 2
    value = forward_micros * normal_nano(d1) - strike_micros * normal_nano(d1 - deviation_nano)
    micros = (value + ONE // 2) // ONE
    if micros < floor_micros:
        return floor_micros
    return micros if micros < forward_micros else forward_micros
