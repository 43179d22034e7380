import math
from dataclasses import replace

import pytest

from fewphoton.config import ReconstructConfig
from fewphoton.emc.iteration_record import IterationRecord
from fewphoton.emc.schedule import (
    automatic_beta,
    beta_at,
    has_converged,
    may_extrapolate,
    next_step,
    step_record,
    stop_reason,
)


def went(config, n, change=0.5, photons=100.0):
    """Records of ``n`` iterations as the loop would make them."""
    records = ()
    for _ in range(n):
        step = next_step(config, records, photons)
        plain = IterationRecord(step.number, 0.9, -1.0, 2.0, 3.0, step.beta, 0.1, 0.2, 0.3)
        records = (*records, step_record(plain, step, 10, 20, 0.0, change))
    return records


def test_annealing_rises_to_one():
    config = ReconstructConfig(beta_start=0.1, beta_factor=2, beta_every=3)
    assert [beta_at(config, n, 50.0) for n in (1, 3, 4, 7, 10, 13)] == [0.1, 0.1, 0.2, 0.4, 0.8, 1.0]
    assert beta_at(ReconstructConfig(), 1, 50.0) == 1.0


def test_automatic_start_falls_with_the_photons():
    # By hand: (48 / 1e5)^0.15 = 0.3178 and (896 / 1e5)^0.15 = 0.4930; at 1e5 photons the root is 1.
    assert automatic_beta(48) == pytest.approx(0.1267, abs=1e-4)
    assert automatic_beta(896) == pytest.approx(0.0406, abs=1e-4)
    assert automatic_beta(1e5) == pytest.approx(math.exp(-6.5))
    config = ReconstructConfig(beta_start="automatic", beta_factor=2, beta_every=1)
    assert beta_at(config, 1, 48.0) == automatic_beta(48.0)
    assert beta_at(config, 3, 48.0) == 4 * automatic_beta(48.0)
    assert beta_at(config, 9, 48.0) == 1.0


def test_stages_follow_each_other_and_the_first_look_is_judged_by_low_q():
    config = ReconstructConfig(
        march=[{"iterations": 2, "orientation_stride": 4, "q_fraction": 0.25}, {"iterations": 1, "q_fraction": 0.5}],
        max_iterations=6,
    )
    records = went(config, 5)
    assert [record.stage for record in records] == [0, 0, 1, 2, 2]
    steps = [next_step(config, records[:n], 1.0) for n in range(5)]
    assert [step.likelihood_q_fraction for step in steps] == [1.0, 1.0, 0.25, 0.5, 1.0]
    assert [step.number_in_stage for step in steps] == [1, 2, 1, 1, 2]
    assert stop_reason(config, records) is None
    assert stop_reason(config, went(config, 6)) == "iterations"


def test_a_settled_stage_ends_early():
    config = ReconstructConfig(march=[{"iterations": 50, "q_fraction": 0.5, "tolerance": 0.6}])
    assert [record.stage for record in went(config, 3)] == [0, 1, 1]
    annealed = config.model_copy(update={"beta_start": 0.5, "beta_factor": 2.0, "beta_every": 2})
    assert [record.stage for record in went(annealed, 4)] == [0, 0, 0, 1]


def test_only_the_full_problem_converges():
    march = [{"iterations": 2, "q_fraction": 0.5}]
    config = ReconstructConfig(march=march, tolerance=0.6, minibatch={"iterations": 4, "fraction": 0.5})
    records = went(config, 6)
    assert [has_converged(config, records[:n]) for n in range(7)] == [False] * 5 + [True, True]
    assert not has_converged(config.model_copy(update={"tolerance": 0.4}), records)
    without = ReconstructConfig(tolerance=0.6)
    assert has_converged(without, went(without, 1))


def test_acceleration_waits_for_everything_to_be_in_force():
    config = ReconstructConfig(
        acceleration="squarem",
        march=[{"iterations": 1, "q_fraction": 0.5}],
        minibatch={"iterations": 3, "fraction": 0.5},
        beta_start=0.5,
        beta_factor=2,
        beta_every=4,
    )
    records = went(config, 6)
    allowed = [may_extrapolate(config, next_step(config, records[:n], 1.0)) for n in range(6)]
    assert allowed == [False, False, False, False, True, True]
    off = config.model_copy(update={"acceleration": "none"})
    assert not may_extrapolate(off, next_step(off, records, 1.0))


def test_held_out_looks_stop_the_run():
    config = ReconstructConfig(held_out={"patience": 2, "every": 1})
    records = went(config, 4)
    assert all(math.isnan(record.held_out_log_likelihood_per_photon) for record in records)
    assert stop_reason(config, records) is None

    def looked(values):
        from dataclasses import replace

        pairs = zip(records, values, strict=True)
        return tuple(replace(record, held_out_log_likelihood_per_photon=value) for record, value in pairs)

    assert stop_reason(config, looked([-3.0, -2.0, math.nan, -2.0])) is None
    assert stop_reason(config, looked([-3.0, -2.0, -2.5, -2.0])) == "held_out"


def test_records_carry_the_plan():
    config = ReconstructConfig()
    (record,) = went(config, 1, change=0.25)
    assert (record.change, record.orientations, record.frames, record.stage) == (0.25, 10, 20, 0)
    assert (record.log_likelihood_per_photon, record.seconds_total) == (-1.0, 0.3)


def told(records, *numbers):
    """Records with (windowed, missed_mass, change) of each."""
    return tuple(
        replace(record, windowed=windowed, missed_mass=missed, change=change)
        for record, (windowed, missed, change) in zip(records, numbers, strict=True)
    )


FULL, BLIND, ON_WINDOWS = (0, 1e-5, 0.5), (0, math.nan, 0.5), (1, math.nan, 0.5)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([], False),
        ([BLIND], False),
        ([BLIND, FULL], True),
        ([BLIND, (0, 0.5, 0.5)], False),
        ([BLIND, FULL, ON_WINDOWS], True),
        ([BLIND, FULL, ON_WINDOWS, ON_WINDOWS], False),
        ([BLIND, FULL, ON_WINDOWS, ON_WINDOWS, FULL], True),
        ([BLIND, FULL, ON_WINDOWS, ON_WINDOWS, (0, 0.5, 0.5)], False),
        ([BLIND, FULL, (1, math.nan, 1e-6)], False),
    ],
)
def test_windows_are_used_between_full_sweeps_that_found_them_good(numbers, expected):
    config = ReconstructConfig(windows={"full_sweep_every": 3}, tolerance=1e-4)
    records = told(went(config, len(numbers)), *numbers)
    assert next_step(config, records, 100.0).windowed is expected
    assert next_step(ReconstructConfig(tolerance=1e-4), records, 100.0).windowed is False


def test_windows_are_not_used_from_extrapolated_starts_nor_after_changes():
    config = ReconstructConfig(windows={}, tolerance=1e-4)
    records = told(went(config, 2), BLIND, FULL)
    assert next_step(config, records, 100.0).windowed
    assert not next_step(config, records, 100.0, extrapolated=True).windowed
    assert not next_step(config, (*records[:-1], replace(records[-1], rejected=1)), 100.0).windowed
    assert not next_step(config, (*records[:-1], replace(records[-1], beta=0.5)), 100.0).windowed
    batches = ReconstructConfig(windows={}, minibatch={"iterations": 9, "fraction": 0.5})
    assert not next_step(batches, records, 100.0).windowed


def test_a_windowed_iteration_is_not_the_last():
    config = ReconstructConfig(windows={}, tolerance=1e-4)
    still = told(went(config, 3), BLIND, FULL, (1, math.nan, 1e-6))
    assert not has_converged(config, still)
    assert has_converged(config, told(went(config, 3), BLIND, FULL, (0, 1e-5, 1e-6)))
