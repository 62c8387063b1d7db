"""Every metric a second time, in plain NumPy, and features whose values have a closed form."""
