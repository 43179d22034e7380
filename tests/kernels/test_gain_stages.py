import numpy as np
import pytest

from fewphoton.kernels.gain_stages import decode_gain_stages


def naive(raw, pedestal, gain, smallest):
    stage = raw >> 14
    row = np.where(stage == 3, 2, np.minimum(stage, 1))
    pixel = np.arange(raw.shape[1])
    energy = ((raw & 0x3FFF).astype(np.float32) - pedestal[row, pixel]) / gain[row, pixel]
    energy[(stage == 2) | (raw < smallest)] = np.nan
    return energy


@pytest.mark.parametrize("decode", [decode_gain_stages, decode_gain_stages.py_func], ids=["jitted", "python"])
def test_agrees_with_numpy(decode):
    rng = np.random.default_rng(4)
    raw = rng.integers(0, 65536, (6, 50), dtype=np.uint16)
    pedestal = rng.uniform(1000, 15000, (3, 50)).astype(np.float32)
    gain = np.array([[41], [-1.4], [-0.1]], dtype=np.float32) * np.ones((1, 50), dtype=np.float32)
    energy = np.empty(raw.shape, dtype=np.float32)
    decode(raw, pedestal, gain, 700, energy)
    np.testing.assert_array_equal(energy, naive(raw, pedestal, gain, 700))
    assert np.isnan(energy).any()


def test_hand_worked_words():
    # Stage 0 at 2500 + 410: 10 keV; stage 1 at 15000 - 140: 100 keV; stage 3 at 14800 - 100: 1000 keV; stage 2 is bad.
    raw = np.array([[2910, 14860 | 1 << 14, 14700 | 3 << 14, 14700 | 2 << 14]], dtype=np.uint16)
    pedestal = np.array([[2500.0], [15000.0], [14800.0]], dtype=np.float32) * np.ones((1, 4), dtype=np.float32)
    gain = np.array([[41.0], [-1.4], [-0.1]], dtype=np.float32) * np.ones((1, 4), dtype=np.float32)
    energy = np.empty((1, 4), dtype=np.float32)
    decode_gain_stages(raw, pedestal, gain, 0, energy)
    np.testing.assert_allclose(energy, [[10, 100, 1000, np.nan]], rtol=1e-6)
