import numpy as np
import pytest

from fewphoton.errors import ConfigError
from fewphoton.separation.variance_formula import VarianceFormula

RAW = np.array([0, 1, 4, 65535], dtype=np.uint16)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5*I + 8", [8, 13, 28, 327683]),
        ("I", [0, 1, 4, 65535]),
        ("3", [3, 3, 3, 3]),
        (" maximum(I, 1) ", [1, 1, 4, 65535]),
        ("sqrt(I)**2 / 2", [0, 0.5, 2, 32767.5]),
        ("abs(-I) + +2", [2, 3, 6, 65537]),
        ("0.5*I**2 - I", [0, -0.5, 4, 0.5 * 65535.0**2 - 65535]),
        ("-(2 - I)", [-2, -1, 2, 65533]),
    ],
)
def test_formulas_worked_by_hand(text, expected):
    found = VarianceFormula(text)(RAW)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array(expected, dtype=np.float32), rtol=1e-6)


def test_signed_and_real_values():
    np.testing.assert_array_equal(VarianceFormula("I + 2")(np.array([-5, 3], dtype=np.int8)), [-3, 5])
    np.testing.assert_array_equal(VarianceFormula("I * 2")(np.array([0.5, np.nan])), [1, np.nan])


@pytest.mark.parametrize("text", ["1/I", "1/0", "0/0 + I", "sqrt(I - 5)", "(-1)**0.5 + I", "10**1000 * I", "2**I"])
def test_values_beyond_reach_are_infinite_or_nan_and_no_crash(text):
    found = VarianceFormula(text)(RAW)
    assert not np.isfinite(found).all()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5*I +",
        "5 I",
        "J",
        "I.real",
        "I[0]",
        "exp(I)",
        "__import__('os').getcwd()",
        "(lambda: 1)()",
        "I if I else 1",
        "[I]",
        "'5'",
        "True",
        "1j*I",
        "I @ I",
        "I // 2",
        "I; I",
        "I = 3",
        "sqrt()",
        "sqrt(I, I)",
        "abs(I, I)",
        "maximum(I)",
        "maximum(I, 1, I)",
        "sqrt(x=I)",
        "maximum(*I)",
        "I\0",
        "-" * 3000 + "I",
    ],
)
def test_anything_else_is_refused_and_not_run(text):
    with pytest.raises(ConfigError, match=r"variance_formula .*expected a formula of I such as"):
        VarianceFormula(text)


def test_the_values_are_left_as_they_were():
    raw = np.array([4.0, -9.0])
    VarianceFormula("abs(I) + sqrt(abs(I))")(raw)
    np.testing.assert_array_equal(raw, [4, -9])
