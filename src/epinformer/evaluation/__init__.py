"""From tables of results to metrics with their intervals."""
