"""Single particles: what their patterns look like, and which of them are worth keeping."""
