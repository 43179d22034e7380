"""From volumes to reflections, R factors, correlations and the Patterson map."""
