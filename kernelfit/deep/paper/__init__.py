"""The paper's tables and figures: which runs they need, and ours beside the paper's numbers."""
