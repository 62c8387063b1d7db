"""Recorded factors of the images: how well a layer still tells them, and what that means."""
