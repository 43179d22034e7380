"""What a shot can tell of the positions of atoms at best: Fisher information and Cramér-Rao bound.

Independent readings of variance v tell the information J^T diag(1/v) J with the Jacobian J of |F|² (Kay 1993,
Fundamentals of Statistical Signal Processing: Estimation Theory, sections 3.7 and 3.9). That is exact for white noise
and for Poisson counts. Where both are present it is an upper limit of the information within a few per cent, as the
convolution of the two laws is no normal law.

|F|² does not change where all atoms shift together, so positions are judged with their centroid (all atoms alike) at
rest. The bound is local: it does not tell whether another molecule explains the shot as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag, helmert

from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError

# Directions with less than this part of the information of the best known one are lost in rounding.
_SMALLEST_EIGENVALUE = 1e-12


def fisher_information(
    model: ForwardModel,
    variance_electron4: NDArray[np.float64],
    position_angstrom: NDArray[np.float64],
    kind: NDArray[np.int64],
    occupancy: NDArray[np.float64] | None = None,
    *,
    amplitudes: bool = False,
) -> NDArray[np.float64]:
    """Return the information that a shot holds on atoms.

    Parameters
    ----------
    model : ForwardModel
        Scattering of atoms into the detectors.
    variance_electron4 : ndarray of float64, `(n,)`
        Variance of each reading where the atoms are the true ones, as from :meth:`Shot.variance`.
    position_angstrom, kind, occupancy
        Atoms, as for :meth:`ForwardModel.amplitude`.
    amplitudes : bool
        Amplitudes are unknown too.

    Returns
    -------
    ndarray of float64, `(n_parameters, n_parameters)`
        In the order of :meth:`ForwardModel.jacobian`; in 1/angstrom² for pairs of positions.

    Raises
    ------
    DataError
        If a variance is negative or not finite, or all are 0.
    """
    variance = frozen_array("variance", variance_electron4, np.float64, (len(model.q_inv_angstrom),))
    if not (np.isfinite(variance).all() and variance.min() >= 0 and variance.max() > 0):
        raise DataError(
            f"information needs variances of at least 0, one of them above, found {variance.min()} to {variance.max()}"
        )
    slope = model.jacobian(position_angstrom, kind, occupancy, amplitudes=amplitudes)
    # Counts of nothing have no variance, and where |F|² is 0 its derivatives are as well.
    weight = np.divide(1.0, variance, out=np.zeros_like(variance), where=variance > 0)
    return np.asarray((slope * weight[:, None]).T @ slope)


@dataclass(frozen=True, eq=False)
class CramerRaoBound:
    """Smallest covariance of any unbiased estimate, with the centroid of the positions at rest.

    Parameters
    ----------
    covariance : ndarray of float64, `(n_parameters, n_parameters)`
        In the order of the information it was made of.
    n_atoms : int
        Atoms.
    condition : float
        Largest over smallest eigenvalue of the information in units of its diagonal.
    """

    covariance: NDArray[np.float64]
    n_atoms: int
    condition: float

    @classmethod
    def of(cls, information: NDArray[np.float64], n_atoms: int) -> CramerRaoBound:
        """Invert the information, `(3 n_atoms, 3 n_atoms)` or `(4 n_atoms, 4 n_atoms)`, without common shifts.

        Raises
        ------
        DataError
            If there are less than two atoms, sizes do not fit, or the information leaves more than the three common
            shifts undetermined.
        """
        n_parameters = len(information)
        if (
            n_atoms < 2
            or information.shape != (n_parameters, n_parameters)
            or n_parameters
            not in (
                3 * n_atoms,
                4 * n_atoms,
            )
        ):
            raise DataError(
                f"a bound needs the information of at least two atoms, found shape {information.shape} "
                f"for {n_atoms} atom(s)"
            )
        # Orthonormal columns that leave the centroid at rest.
        basis = np.kron(helmert(n_atoms).T, np.eye(3))
        if n_parameters > 3 * n_atoms:
            basis = block_diag(basis, np.eye(n_atoms))
        inner = basis.T @ information @ basis
        scale = np.sqrt(np.maximum(np.diag(inner), np.finfo(np.float64).tiny))
        value, vector = np.linalg.eigh(inner / np.outer(scale, scale))
        n_known = int((value > _SMALLEST_EIGENVALUE * value[-1]).sum())
        if n_known < len(value):
            raise DataError(
                f"the shot fixes only {n_known} of {len(value)} parameters; more detectors, a larger angle or fewer "
                "unknowns are needed"
            )
        root = basis @ ((vector / np.sqrt(value)) / scale[:, None])
        return cls(root @ root.T, n_atoms, float(value[-1] / value[0]))

    @property
    def standard_error_angstrom(self) -> NDArray[np.float64]:
        """Standard errors of the positions, float64 `(n_atoms, 3)`."""
        variance = np.diag(self.covariance)[: 3 * self.n_atoms]
        return np.sqrt(variance).reshape(self.n_atoms, 3)

    @property
    def amplitude_standard_error(self) -> NDArray[np.float64] | None:
        """Standard errors of the amplitudes, float64 `(n_atoms,)`; None where amplitudes are known."""
        variance = np.diag(self.covariance)[3 * self.n_atoms :]
        return np.sqrt(variance) if len(variance) else None


def standard_errors(
    model: ForwardModel,
    variance_electron4: NDArray[np.float64],
    position_angstrom: NDArray[np.float64],
    kind: NDArray[np.int64],
    occupancy: NDArray[np.float64] | None = None,
    *,
    amplitudes: bool = False,
) -> NDArray[np.float64]:
    """Return the smallest standard errors of positions, float64 `(n_atoms, 3)`, in angstrom.

    Parameters are those of :func:`fisher_information`.

    Raises
    ------
    DataError
        If variances are no variances, or the shot does not fix all that is unknown.
    """
    information = fisher_information(
        model, variance_electron4, position_angstrom, kind, occupancy, amplitudes=amplitudes
    )
    return CramerRaoBound.of(information, len(kind)).standard_error_angstrom
