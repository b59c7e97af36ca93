"""A made-up world with known enhancers, motifs and effects, written as the files that a lab would have."""
