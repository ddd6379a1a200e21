"""A mobile robot fetches things in a flat: MuJoCo's physics, depth images by ray casting, skills and words."""
