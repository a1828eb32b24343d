"""The pure core: values and rules, with no clock, no I/O and no Temporal in them."""
