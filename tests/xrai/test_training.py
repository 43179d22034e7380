import numpy as np
import pytest
import torch

from fewphoton.config.train_xrai import ScheduleConfig
from fewphoton.errors import ConfigError, ConvergenceError, DataError
from fewphoton.xrai.batches import held_out_split
from fewphoton.xrai.checkpoint import checkpoint_bytes, checkpoint_content
from fewphoton.xrai.inference import mean_log_likelihood
from fewphoton.xrai.processes import Processes
from fewphoton.xrai.training import learning_rate_factor, march_fraction
from tests.xrai.particles import CPU, noise_free, photons, small_config, training


def rows(made):
    return [(row.start, row.step, row.loss, row.misfit, row.held_out_log_likelihood) for row in made.trace]


@pytest.mark.parametrize("starts", [1, 3])
@pytest.mark.parametrize("stopped_after", [3, 8, 15])
def test_a_resumed_training_has_the_losses_of_one_that_was_not_stopped(starts, stopped_after):
    config = small_config(schedule={"starts": starts, "start_steps": 5, "march_steps": 6})
    whole = training(config)
    n_steps = len(list(whole.course()))
    assert n_steps == 12 + (starts - 1) * 5
    stopped = training(config)
    for taken, _ in enumerate(stopped.course(), 1):
        if taken == min(stopped_after, n_steps - 1):
            break
    assert stopped.steps_taken == taken
    data = checkpoint_bytes({"training": stopped.content()})
    resumed = training(config)
    resumed.restore(checkpoint_content(data)["training"])
    assert resumed.steps_to_go == n_steps - taken
    list(resumed.course())
    assert rows(resumed) == rows(whole)
    for one, other in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_start_of_the_highest_held_out_likelihood_is_finished():
    made = training(small_config(schedule={"starts": 3, "start_steps": 5}))
    list(made.course())
    ranked = {row.start: row.held_out_log_likelihood for row in made.trace if row.step == 5}
    assert len(ranked) == 3
    assert made.best_start == max(ranked, key=ranked.get)
    assert {row.start for row in made.trace if row.step > 5} == {made.best_start}
    alone = training(small_config())
    assert len(list(alone.course())) == 12


def test_starts_that_take_all_steps_are_ranked_too():
    made = training(small_config(schedule={"starts": 3, "start_steps": 50, "evaluate_every": 12}))
    assert len(list(made.course())) == 36
    ranked = [row.held_out_log_likelihood for row in made.trace]
    assert made.best_start == int(np.argmax(ranked))
    held = torch.from_numpy(noise_free(120).patterns(held_out_split(120, 20, 0)[1]))
    assert mean_log_likelihood(made.model, held, CPU) == pytest.approx(max(ranked), rel=1e-6)


def test_training_explains_frames_that_it_never_saw_better_and_better():
    schedule = {"steps": 120, "batch_frames": 32, "pixels": 80, "evaluate_every": 40, "warm_up_steps": 10}
    encoder = {"widths": (64, 32), "heads": 6}
    for source in (noise_free(300), photons(300, scale=5.0)):
        made = training(small_config(encoder=encoder, schedule=schedule), source)
        list(made.course())
        first, *_, last = made.trace
        assert last.misfit < first.misfit
        assert last.held_out_log_likelihood > first.held_out_log_likelihood
        # A volume without any direction explains the frames worse: what was learned is poses, not the radial mean.
        level = training(small_config(encoder=encoder, schedule=schedule, decoder={"start_spread": 0.0}), source)
        held = torch.from_numpy(source.patterns(held_out_split(300, 20, 0)[1]))
        assert last.held_out_log_likelihood > mean_log_likelihood(level.model, held, CPU)


def test_rates_rise_fall_and_q_marches():
    schedule = ScheduleConfig(steps=100, warm_up_steps=9, march_steps=50, march_from=0.4)
    assert learning_rate_factor(schedule, 0) == pytest.approx(0.1)
    assert learning_rate_factor(schedule, 50) == pytest.approx(0.51)
    assert learning_rate_factor(schedule, 100) == pytest.approx(0.02)
    assert learning_rate_factor(ScheduleConfig(decay="none", warm_up_steps=0), 3000) == 1
    assert [march_fraction(schedule, step) for step in (0, 25, 50, 99)] == pytest.approx([0.4, 0.7, 1, 1])


def test_marching_begins_at_the_inner_pixels(monkeypatch):
    made = training(small_config(schedule={"march_steps": 10, "march_from": 0.5, "pixels": 10_000}))
    asked = []
    original = made.model.forward

    def watched(patterns, pixels):
        asked.append(pixels)
        return original(patterns, pixels)

    monkeypatch.setattr(made.model, "forward", watched)
    list(made.course())
    q = np.linalg.norm(made.model.grid.q_inv_angstrom, axis=1)
    largest = [q[pixels.numpy()].max() / q.max() for pixels in asked]
    assert largest[0] <= 0.5
    assert (np.diff(largest) >= 0).all()
    assert len(asked[-1]) == 196


def test_a_diverging_training_stops_with_the_reason():
    made = training(small_config(decoder={"learning_rate": 1e30}), photons(120))
    with pytest.raises(ConvergenceError, match="learning_rate"):
        list(made.course())


def test_frames_of_a_step_must_be_shared_evenly():
    with pytest.raises(ConfigError, match="8 frames cannot be shared evenly among 3"):
        training(small_config(), processes=Processes(0, 3))


def test_checkpoints_of_another_model_are_refused():
    made = training(small_config())
    content = made.content()
    for changes in ({"encoder": {"heads": 4}}, {"encoder": {"widths": (32, 17)}}, {"decoder": {"oversampling": 2.0}}):
        with pytest.raises(DataError, match="another model"):
            training(small_config(**changes)).restore(content)
    with pytest.raises(DataError, match="another model"):
        training(small_config()).restore({"start": 0})
