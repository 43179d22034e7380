import pytest

from fewphoton.config.load import check_section
from fewphoton.config.spot_quality import IntegrateSpotsConfig
from fewphoton.errors import ConfigError


def test_defaults_and_runs():
    assert IntegrateSpotsConfig().runs[0].experiment == 0
    config = check_section(IntegrateSpotsConfig, {"runs": [{"n_frames": 15}, {"experiment": 1}]}, "test")
    assert [run.experiment for run in config.runs] == [0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"runs": [{"experiment": 0}, {"experiment": 1}]}, "every run but the last needs n_frames"),
        ({"runs": []}, "runs"),
        ({"disc_radius_px": 5.0}, "disc_radius_px <= ring_inner_px"),
        ({"ring_inner_px": 9.0}, "ring_inner_px < ring_outer_px"),
        ({"mosaicty_deg": 0.1}, "did you mean 'mosaicity_deg'"),
        ({"mosaicity_deg": 0.0}, "mosaicity_deg"),
    ],
)
def test_contradictions_are_refused(content, message):
    with pytest.raises(ConfigError, match=message):
        check_section(IntegrateSpotsConfig, content, "test")
