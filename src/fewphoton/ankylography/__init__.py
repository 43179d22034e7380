"""A molecule's atoms from one shot of coherent X-rays (Mutzafi et al. 2015, doi:10.1038/ncomms8950)."""
