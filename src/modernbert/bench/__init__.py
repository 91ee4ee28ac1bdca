"""How fast: named cases, peers, interleaved medians, rows."""
