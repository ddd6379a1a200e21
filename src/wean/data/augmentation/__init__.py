"""Variations of demonstrations that a text student is trained on."""
