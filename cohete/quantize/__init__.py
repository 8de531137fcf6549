"""Models made smaller: levels, what fits a board, encoding, checks, reports."""
