"""The loop that plays episodes, scores with intervals, demonstrations."""
