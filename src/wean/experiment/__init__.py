"""From settings to a finished run: presets, components, the runner, the run folder."""
