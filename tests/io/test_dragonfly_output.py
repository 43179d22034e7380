import h5py
import numpy as np
import pytest

from fewphoton.errors import InputFileError
from fewphoton.io.dragonfly_output import read_dragonfly_output

N_FRAMES, N = 6, 9


def write_output(path, *, n_modes=1, probabilities=False, **changes):
    """Write the datasets of an output file as Dragonfly 0.1.0 lays them out."""
    rng = np.random.default_rng(8)
    quaternion = rng.standard_normal((5, 5))
    quaternion[:, :4] /= np.linalg.norm(quaternion[:, :4], axis=1, keepdims=True)
    quaternion[:, 4] = 0.2
    content = {
        "intens": rng.random((n_modes, N, N, N)),
        "inter_weight": rng.random((n_modes, N, N, N)),
        "quaternions": quaternion,
        "orientations": np.array([4, 0, -1, 2, 3, 1], dtype=np.int32),
        "likelihood": -rng.random(N_FRAMES),
        "mutual_info": rng.random(N_FRAMES),
    } | changes
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            if values is not None:
                file[name] = values
        file["params/beta_factor"] = 1.0
        if probabilities:
            rows = np.empty(N_FRAMES, dtype=object)
            rows[:] = [np.array(row) for row in ([1.0], [0.5, 0.5], [], [0.2, 0.0, 0.2], [0.9, 0.1], [0.25] * 4)]
            kept = file.create_dataset("probabilities/prob", (N_FRAMES,), dtype=h5py.vlen_dtype("f8"))
            kept[:] = rows
    return content


def test_frames_get_their_rotations(tmp_path):
    content = write_output(tmp_path / "o.h5")
    found = read_dragonfly_output(tmp_path / "o.h5")
    np.testing.assert_array_equal(found.intensity, content["intens"])
    np.testing.assert_array_equal(found.weight, content["inter_weight"])
    np.testing.assert_allclose(found.quaternion, content["quaternions"][:, :4], rtol=1e-12)
    assert found.rotation.tolist() == [4, 0, -1, 2, 3, 1]
    assert found.mode.tolist() == [0, 0, -1, 0, 0, 0]
    np.testing.assert_array_equal(found.log_likelihood, content["likelihood"])
    assert found.largest_probability is None
    assert found.entropy_nat is None


def test_numbers_beyond_the_rotations_tell_the_mode(tmp_path):
    write_output(tmp_path / "o.h5", n_modes=3, orientations=np.array([14, 5, -1, 2, 9, 10], dtype=np.int32))
    found = read_dragonfly_output(tmp_path / "o.h5")
    assert found.rotation.tolist() == [4, 0, -1, 2, 4, 0]
    assert found.mode.tolist() == [2, 1, -1, 0, 1, 2]


def test_kept_probabilities_tell_how_certain_a_frame_is(tmp_path):
    write_output(tmp_path / "o.h5", probabilities=True)
    found = read_dragonfly_output(tmp_path / "o.h5")
    np.testing.assert_allclose(found.largest_probability, [1, 0.5, np.nan, 0.5, 0.9, 0.25])
    two, skewed = np.log(2), -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    np.testing.assert_allclose(found.entropy_nat, [0, two, np.nan, two, skewed, 2 * two], atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intens": np.zeros((2, N, N))}, r"\[intens\]: holds no three-dimensional volumes"),
        ({"intens": np.zeros((1, N, N, N + 1))}, r"\[intens\]: holds no three-dimensional volumes"),
        ({"inter_weight": np.zeros((1, 7, 7, 7))}, r"inter_weight.*wrong shape"),
        ({"quaternions": None}, r"quaternions.*missing"),
        ({"quaternions": np.zeros((5, 4))}, r"quaternions.*wrong shape"),
        ({"orientations": np.full(N_FRAMES, 5, np.int32)}, r"expected -1 to 4; found 5 to 5"),
        ({"orientations": np.full(N_FRAMES, -2, np.int32)}, r"expected -1 to 4; found -2 to -2"),
        ({"likelihood": np.zeros(3)}, r"likelihood.*wrong shape"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, message):
    write_output(tmp_path / "o.h5", **changes)
    with pytest.raises(InputFileError, match=rf"o\.h5.*{message}"):
        read_dragonfly_output(tmp_path / "o.h5")


def test_truncated_and_foreign_files_are_refused(tmp_path):
    write_output(tmp_path / "o.h5")
    (tmp_path / "half.h5").write_bytes((tmp_path / "o.h5").read_bytes()[:3000])
    (tmp_path / "text.h5").write_text("no HDF5")
    for name in ("half.h5", "text.h5", "none.h5"):
        with pytest.raises(InputFileError, match=name):
            read_dragonfly_output(tmp_path / name)


def test_probabilities_that_are_no_lists_of_numbers_are_refused(tmp_path):
    write_output(tmp_path / "o.h5")
    with h5py.File(tmp_path / "o.h5", "r+") as file:
        file.create_dataset("probabilities/prob", (N_FRAMES,), dtype=h5py.string_dtype())
    with pytest.raises(InputFileError, match=r"o\.h5 \[probabilities/prob\]: is no list of numbers a frame"):
        read_dragonfly_output(tmp_path / "o.h5")
