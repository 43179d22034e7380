"""Configuration of compare-recoveries."""

from __future__ import annotations

from fewphoton.config.section import Section


class CompareRecoveriesConfig(Section):
    """Published results beside ours."""

    studies: tuple[str, ...] = ()
    """Names of the studies, in the order of their tables."""
