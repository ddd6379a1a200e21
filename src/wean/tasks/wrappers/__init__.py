"""Tasks seen otherwise: skills as actions, sub-goals beside the observation, asking as an action."""
