"""Dense linear algebra on panels: one algorithm a file."""
