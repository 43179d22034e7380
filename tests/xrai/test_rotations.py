import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fewphoton.data.orientations import rotation_matrices
from fewphoton.xrai.rotations import matrices_from_six, quaternions_from_matrices

SIX = arrays(np.float64, (4, 6), elements=st.floats(-3, 3).filter(lambda x: abs(x) > 1e-3))


def test_gram_and_schmidt_by_hand():
    found = matrices_from_six(torch.tensor([0.0, 2.0, 0.0, 5.0, 7.0, 0.0]))
    # First column y, second x, third y cross x = -z.
    np.testing.assert_allclose(found, [[0, 1, 0], [1, 0, 0], [0, 0, -1]], atol=1e-6)


@given(SIX)
def test_what_comes_out_is_a_rotation(six):
    matrix = matrices_from_six(torch.tensor(six)).numpy()
    parallel = np.linalg.norm(np.cross(six[:, :3], six[:, 3:]), axis=1) < 1e-3
    matrix = matrix[~parallel]
    np.testing.assert_allclose(matrix @ np.swapaxes(matrix, 1, 2), np.broadcast_to(np.eye(3), matrix.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(matrix), 1, atol=1e-9)


@given(arrays(np.float64, (5, 4), elements=st.floats(-1, 1)))
def test_quaternions_are_those_of_the_suite(drawn):
    length = np.linalg.norm(drawn, axis=1, keepdims=True)
    unit = np.where(length > 1e-3, drawn / np.maximum(length, 1e-3), [0.0, 0.0, 1.0, 0.0])
    matrix = rotation_matrices(unit)
    found = quaternions_from_matrices(torch.tensor(matrix)).numpy()
    assert (found[:, 0] >= 0).all()
    np.testing.assert_allclose(rotation_matrices(found), matrix, atol=1e-12)


def test_half_turns_have_quaternions_too():
    turns = torch.diag_embed(torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]]).double())
    np.testing.assert_allclose(quaternions_from_matrices(turns).abs(), np.eye(4)[1:], atol=1e-12)


def test_gradients_are_finite_where_vectors_vanish_or_agree():
    six = torch.tensor([[0.0] * 6, [1.0, 0, 0, 2, 0, 0]], requires_grad=True)
    matrices_from_six(six).sum().backward()
    assert torch.isfinite(six.grad).all()
