"""The papers and their baselines as presets: names, settings, expected numbers; no logic."""
