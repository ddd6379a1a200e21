"""The networks that are trained and shipped: act, save, load."""
