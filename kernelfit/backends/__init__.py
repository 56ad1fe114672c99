"""Where arithmetic runs. A backend is passed explicitly; none is global."""
