"""Episodes, statistics, comparison and the report."""
