import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures.spot_quality import FrameVersion, draw, quality_table, resolution_limit


def shells(i_over_sigma=(20, 8, 2, 1), r_meas=0.1, **more):
    limits = ["", "4", "3", "2.5", "2"]
    return [
        {
            "d_max_angstrom": limits[number],
            "d_min_angstrom": limits[number + 1],
            "r_meas": str(r_meas * (number + 1)),
            "i_over_sigma": "" if value is None else str(value),
            "cc_reference": "0.9",
            **more,
        }
        for number, value in enumerate(i_over_sigma)
    ]


def version(cutoff, r_meas=0.1, **more):
    overall = {"r_meas": r_meas, "cc_half": 0.99, "cc_reference": 0.9, "i_over_sigma": 10.0, "completeness": 0.8}
    rows = shells(r_meas=r_meas)
    if cutoff is not None:
        overall["cc_original"] = 1 - cutoff / 100
        rows = shells(r_meas=r_meas, cc_original=str(1 - cutoff / 100))
    label = "original" if cutoff is None else f"n = {cutoff:g}"
    return FrameVersion(label, cutoff, overall, rows, **more)


VERSIONS = [
    version(None),
    version(2.0, 0.12, compression={"uncompressed frames": 20.0, "source files": 3.0}),
    version(1.0, 0.11, compression={"uncompressed frames": 5.0, "source files": 1.5}),
]


def test_curves_against_the_cutoff():
    r_meas, lacking, ratio, *_ = draw(VERSIONS).axes
    np.testing.assert_allclose(r_meas.lines[0].get_data(), [[1, 2], [0.11, 0.12]])
    assert r_meas.lines[1].get_ydata()[0] == 0.1
    np.testing.assert_allclose(lacking.lines[0].get_ydata(), [0.01, 0.02])
    assert lacking.get_yscale() == "log"
    np.testing.assert_allclose([line.get_ydata() for line in ratio.lines[:2]], [[5, 20], [1.5, 3]])


def test_curves_by_shell_stand_at_the_middle_in_1_over_d():
    by_r, by_i, by_cc = draw(VERSIONS).axes[3:]
    middle = (np.array([0, 1 / 4, 1 / 3, 1 / 2.5]) + 1 / np.array([4, 3, 2.5, 2])) / 2
    np.testing.assert_allclose(by_r.lines[0].get_data(), [middle, [0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_allclose(by_i.lines[0].get_ydata(), [20, 8, 2, 1])
    assert [text.get_text() for text in by_r.get_legend().get_texts()] == ["original", "n = 1", "n = 2"]
    assert by_r.get_xticklabels()[0].get_text() == "10"
    # The original has no correlation with itself; its other one is there.
    assert sum(line.get_linestyle() == "-" and len(line.get_xdata()) == 4 for line in by_cc.lines) == 2
    assert sum(line.get_linestyle() == "--" and len(line.get_xdata()) == 4 for line in by_cc.lines) == 3


def test_empty_outer_shells_do_not_stretch_the_axis():
    rows = shells((20, 8, None, None))
    for row in rows[2:]:
        row["r_meas"] = row["cc_reference"] = ""
    one = FrameVersion("a", 1.0, {"r_meas": 0.1, "cc_half": 0.9}, rows)
    assert draw([one]).axes[4].get_xlim() == (0, pytest.approx(1 / 3))


def test_limit_is_interpolated_between_shells():
    one = FrameVersion("a", None, {}, shells())
    middle = (np.array([0, 1 / 4, 1 / 3, 1 / 2.5]) + 1 / np.array([4, 3, 2.5, 2])) / 2
    assert resolution_limit(one, 5.0) == pytest.approx((middle[1] + middle[2]) / 2)
    assert resolution_limit(one, 0.5) is None
    assert resolution_limit(one, 100.0) is None


def test_dotted_lines_mark_the_limits():
    axes = draw(VERSIONS).axes[4]
    dotted = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2]
    # Shells end with 1, so a cut-off of 1 is never passed.
    assert dotted == [resolution_limit(VERSIONS[0], 2.0)]


def test_table_has_innermost_outermost_and_all():
    rows = quality_table(VERSIONS[:2])
    assert [(row["frames"], row["resolution_angstrom"]) for row in rows] == [
        ("original", "inf-4.00"),
        ("original", "2.50-2.00"),
        ("original", "all"),
        ("n = 2", "inf-4.00"),
        ("n = 2", "2.50-2.00"),
        ("n = 2", "all"),
    ]
    assert rows[4]["r_meas"] == pytest.approx(0.48)
    assert rows[5]["compression_ratio_to_source"] == 3.0
    assert rows[0]["cc_original"] is None


def test_reflections_measured_once_have_no_r_meas():
    once = shells()
    for row in once:
        row["r_meas"] = None
    versions = [FrameVersion("n = 1", 1.0, {"cc_original": 0.99}, once)]
    panels = draw(versions).axes
    for place in (0, 3):
        assert "too few equivalents" in panels[place].texts[0].get_text()
    assert panels[4].get_legend() is not None


def test_sizes_may_be_missing():
    axes = draw([version(1.0)]).axes[2]
    assert axes.texts[0].get_text() == "sizes not given"


@pytest.mark.parametrize(
    ("versions", "word"),
    [
        ([], "0 rebuilt"),
        ([version(None)], "0 rebuilt and 1 original"),
        ([version(None), version(None), version(1.0)], "2 original"),
        ([FrameVersion("a", 1.0, {}, shells())], "no rebuilt version has a value of r_meas, cc_original"),
        ([FrameVersion("a", 1.0, {"r_meas": 0.1, "cc_half": 1.0}, [])], "no rows"),
    ],
)
def test_faults(versions, word):
    with pytest.raises(DataError, match=word):
        draw(versions)
