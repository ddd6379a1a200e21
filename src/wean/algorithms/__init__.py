"""Learning rules, one file each: configuration, loss as a pure function, loop."""
