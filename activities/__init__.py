"""The effects, one class per concern, with what they need injected through small ports."""
