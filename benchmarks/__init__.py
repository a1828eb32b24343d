"""What Ringi costs over bare Temporal: both measured in one run, on the same servers, in the same layout."""
