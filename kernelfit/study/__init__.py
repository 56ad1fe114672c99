"""Questions that are asked of one factor: what it costs to fit K once is paid once, each answer costs O(n^2)."""
